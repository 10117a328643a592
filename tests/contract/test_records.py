"""The records and the look-ups of a contract."""

import msgspec
import pytest

from tq_contract import (
    MseSpec,
    UniformSpec,
    UnknownFamilyError,
    UnknownNameError,
    UnknownPresetError,
    load,
    loads,
)


def test_a_preset_is_found_by_name_and_by_alias(document):
    document["presets"][0]["aliases"] = ["paper_scalar"]
    contract = loads(msgspec.json.encode(document).decode())
    assert contract.preset("paper_mse") is contract.preset("paper_scalar") is contract.presets[0]
    with pytest.raises(UnknownPresetError) as caught:
        contract.preset("paper_scalr")
    assert caught.value.closest == "paper_scalar"
    assert caught.value.known == ("paper_mse", "paper_scalar", "uniform_k4v4", "lloyd_k4v4")


@pytest.mark.parametrize(
    ("asked", "closest"),
    [("paper-mse", "paper_mse"), ("UNIFORM_K4V4", "uniform_k4v4"), ("", None), ("turbo9000", None), (None, None)],
)
def test_an_unknown_preset_names_what_is_known(asked, closest):
    with pytest.raises(UnknownPresetError) as caught:
        load().preset(asked)
    error = caught.value
    assert (error.value, error.closest) == (asked, closest)
    assert error.known == ("paper_mse", "uniform_k4v4", "lloyd_k4v4")
    assert str(error).startswith(f"unknown preset {asked!r}.")
    assert ("Did you mean" in str(error)) == (closest is not None)
    assert isinstance(error, UnknownNameError)
    assert isinstance(error, LookupError)


def test_a_family_is_found_by_name():
    assert load().family("gemma").model_types == ("gemma3_text", "gemma3")
    with pytest.raises(UnknownFamilyError, match=r"unknown model family 'lama'\. Did you mean 'llama'\?"):
        load().family("lama")
    with pytest.raises(UnknownFamilyError):
        load().family("gemma3")  # a model type is not a family's name


def test_a_family_is_found_by_model_type():
    contract = load()
    named = {kind: contract.family_of(kind) for kind in ("llama", "gemma3", "gemma3_text", "qwen2", "gemma2", "")}
    assert {kind: family and family.name for kind, family in named.items()} == {
        "llama": "llama",
        "gemma3": "gemma",
        "gemma3_text": "gemma",
        "qwen2": "qwen2",
        "gemma2": None,
        "": None,
    }
    assert [family.name for family in contract.families if family.allowlisted] == ["llama", "gemma"]


def test_codecs_are_told_apart_by_their_tag():
    parameters = load().preset("uniform_k4v4").parameters
    assert isinstance(parameters.keys, UniformSpec)
    assert parameters.keys.label == "uniform 4"
    paper = load().preset("paper_mse").parameters
    assert isinstance(paper.keys, MseSpec)
    assert (paper.keys.label, paper.values.label) == ("mse 3", "mse 4")


def test_records_are_immutable_and_hashable():
    preset = load().preset("paper_mse")
    with pytest.raises(AttributeError):
        preset.name = "other"
    assert hash(load()) == hash(loads(msgspec.json.encode(load()).decode()))
