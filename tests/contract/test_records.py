"""The records and the look-ups of a contract."""

import msgspec
import pytest
from tests.contract.by_name import put

from tq_contract import (
    KeyNoiseSpec,
    MeanBitsSpec,
    MseSpec,
    PolarSpec,
    ProdSpec,
    TopkSpec,
    UniformSpec,
    UnknownFamilyError,
    UnknownNameError,
    UnknownPresetError,
    load,
    loads,
)
from tq_contract.records.codecs import label

KNOWN = (
    "paper_mse",
    *("paper_prod_qjl", "paper_prod", "high_compression"),  # the name and its aliases
    "polarquant_exp",
    "uniform_k4v4",
    "lloyd_k4v4",
    "equal_noise_k45v4",
    "equal_noise_k4v4",
    "equal_noise_k35v3",
    "equal_noise_k3v3",
    "legacy_topk",
    "balanced",
    "max_quality",
)


def test_a_preset_is_found_by_name_and_by_alias(document):
    put(document, "/presets/paper_mse/aliases", ["paper_scalar"])
    contract = loads(msgspec.json.encode(document).decode())
    assert contract.preset("paper_mse") is contract.preset("paper_scalar")
    assert contract.preset("paper_scalar").name == "paper_mse"
    with pytest.raises(UnknownPresetError) as caught:
        contract.preset("paper_scalr")
    assert caught.value.closest == "paper_scalar"
    assert caught.value.known == ("paper_mse", "paper_scalar", *KNOWN[1:])


@pytest.mark.parametrize(
    ("asked", "closest"),
    [
        ("equal_noise_k40v4", "equal_noise_k4v4"),
        ("highcompression", "high_compression"),
        ("paper-mse", "paper_mse"),
        ("UNIFORM_K4V4", "uniform_k4v4"),
        ("", None),
        ("turbo9000", None),
        (None, None),
    ],
)
def test_an_unknown_preset_names_what_is_known(asked, closest):
    with pytest.raises(UnknownPresetError) as caught:
        load().preset(asked)
    error = caught.value
    assert (error.value, error.closest) == (asked, closest)
    assert error.known == KNOWN
    assert str(error).startswith(f"unknown preset {asked!r}.")
    assert ("Did you mean" in str(error)) == (closest is not None)
    assert isinstance(error, UnknownNameError)
    assert isinstance(error, LookupError)


def test_a_family_is_found_by_name():
    assert load().family("gemma").model_types == ("gemma3_text", "gemma3", "gemma2")
    with pytest.raises(UnknownFamilyError, match=r"unknown model family 'lama'\. Did you mean 'llama'\?"):
        load().family("lama")
    with pytest.raises(UnknownFamilyError):
        load().family("gemma3")  # a model type is not a family's name


def test_a_family_is_found_by_model_type():
    contract = load()
    named = {
        kind: contract.family_of(kind) for kind in ("llama", "gemma3", "gemma3_text", "qwen2", "gemma2", "gemma", "")
    }
    assert {kind: family and family.name for kind, family in named.items()} == {
        "llama": "llama",
        "gemma3": "gemma",
        "gemma3_text": "gemma",
        "qwen2": "qwen2",
        "gemma2": "gemma",
        "gemma": None,
        "": None,
    }
    assert [family.name for family in contract.families if family.allowlisted] == ["llama", "gemma"]


@pytest.mark.parametrize("alias", ["paper_prod", "high_compression"])
def test_the_packaged_aliases_lead_to_their_preset(alias):
    assert load().preset(alias) is load().preset("paper_prod_qjl")


@pytest.mark.parametrize(
    ("name", "kinds", "labels"),
    [
        ("paper_prod_qjl", (ProdSpec, MseSpec), ("prod 3", "mse 4")),
        ("polarquant_exp", (PolarSpec, PolarSpec), ("polar 4", "polar 5")),
        ("max_quality", (TopkSpec, TopkSpec), ("topk 4", "topk 8")),
    ],
)
def test_other_codecs_are_told_apart_by_their_tag(name, kinds, labels):
    parameters = load().preset(name).parameters
    assert (type(parameters.keys), type(parameters.values)) == kinds
    assert (label(parameters.keys), label(parameters.values)) == labels


def test_key_bits_are_told_apart_by_their_tag(document):
    assert load().preset("paper_mse").parameters.key_bits is None
    assert load().preset("equal_noise_k3v3").parameters.key_bits == MeanBitsSpec(mean=2.9)
    put(document, "/presets/equal_noise_k3v3/parameters/key_bits", {"kind": "noise", "error": 1})
    put(document, "/presets/equal_noise_k4v4/parameters/key_bits", {"kind": "mean", "mean": 4})
    contract = loads(msgspec.json.encode(document).decode())
    assert contract.preset("equal_noise_k3v3").parameters.key_bits == KeyNoiseSpec(error=1.0)
    mean = contract.preset("equal_noise_k4v4").parameters.key_bits
    assert isinstance(mean, MeanBitsSpec)
    assert type(mean.mean) is float  # although written as an integer


def test_codecs_are_told_apart_by_their_tag():
    parameters = load().preset("uniform_k4v4").parameters
    assert isinstance(parameters.keys, UniformSpec)
    assert label(parameters.keys) == "uniform 4"
    paper = load().preset("paper_mse").parameters
    assert isinstance(paper.keys, MseSpec)
    assert (label(paper.keys), label(paper.values)) == ("mse 3", "mse 4")


def test_records_are_immutable_and_hashable():
    preset = load().preset("paper_mse")
    with pytest.raises(AttributeError):
        preset.name = "other"
    assert hash(load()) == hash(loads(msgspec.json.encode(load()).decode()))
