"""Codecs as plain JSON values, there and back, and what does not fit."""

import json
from dataclasses import dataclass

import pytest
from tests.core.codec_matrix import ROWS

from tq_core import (
    Codec,
    Identity,
    InvalidCodecError,
    MseCodec,
    RandomOrthogonal,
    UniformCodec,
    codec_from_dict,
    codec_to_dict,
    register_codec,
)
from tq_core.registry import CODECS


def test_every_registered_codec_has_a_row_in_the_matrix() -> None:
    assert {type(row.codec) for row in ROWS} == set(CODECS.values())
    assert all(cls.name == name for name, cls in CODECS.items())


@pytest.mark.parametrize("codec", [row.codec for row in ROWS], ids=str)
def test_json_round_trip(codec: Codec) -> None:
    values = codec_to_dict(codec)
    back = codec_from_dict(json.loads(json.dumps(values)))
    assert back == codec
    assert type(back) is type(codec)
    assert hash(back) == hash(codec)
    assert codec_to_dict(back) == values


def test_the_written_form() -> None:
    """Caches on disk hold it."""
    assert codec_to_dict(MseCodec(RandomOrthogonal(5), bits=3, gain="norm", scale_search=False, gain_group=32)) == {
        "codec": "mse",
        "rotation": {"kind": "random_orthogonal", "seed": 5},
        "bits": 3,
        "gain": "norm",
        "scale_search": False,
        "gain_group": 32,
    }


def test_missing_parameters_are_the_defaults() -> None:
    assert codec_from_dict({"codec": "uniform"}) == UniformCodec()
    assert codec_from_dict({"codec": "mse", "rotation": {"kind": "identity"}}) == MseCodec(Identity())


def test_input_is_left_as_it_was() -> None:
    values = codec_to_dict(MseCodec())
    before = json.dumps(values)
    codec_from_dict(values)
    assert json.dumps(values) == before


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "None"),
        ({"codec": "jpeg"}, "'jpeg'"),
        ({"codec": "mse", "bit": 3}, "'bit'"),
        ({"codec": "mse", "bits": 9}, "bits is 9"),
        ({"codec": "uniform", "bits": 7}, "bits is 7"),
        ({"codec": "mse", "gain": "max"}, "'max'"),
        ({"codec": "mse", "gain": "norm"}, "scale_search"),
        ({"codec": "mse", "rotation": {"kind": "dct", "seed": 0}}, "'dct'"),
        ({"codec": "mse", "rotation": {"kind": "hadamard", "seed": -2}}, "-2"),
    ],
    ids=str,
)
def test_values_that_do_not_fit(values: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidCodecError, match=named):
        codec_from_dict(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"codec": ["mse"]}, "mse"),
        ({"codec": "mse", "bits": "4"}, "'4'"),
        ({"codec": "mse", "bits": 4.5}, "4.5"),
        ({"codec": "mse", "scale_search": "no"}, "'no'"),
        ({"codec": "mse", "rotation": "hadamard"}, "hadamard"),
        ({"codec": "mse", "rotation": 3}, "3"),
        ({"codec": "mse", "rotation": None}, "None"),
        ({"codec": "mse", "rotation": {"seed": 3}}, "kind"),
        ({"codec": "mse", "rotation": {"kind": ["hadamard"]}}, "hadamard"),
        ({"codec": "mse", "rotation": {"kind": "hadamard", "sed": 3}}, "sed"),
        ({"codec": "mse", "rotation": {"kind": "hadamard", "seed": "3"}}, "'3'"),
        ({"codec": "mse", "rotation": {"kind": "hadamard", "seed": 1.5}}, "1.5"),
    ],
    ids=str,
)
def test_values_of_a_wrong_type(values: dict[str, object], named: str) -> None:
    """What a hand-written or damaged file may hold."""
    with pytest.raises(InvalidCodecError, match=named):
        codec_from_dict(values)


def halved(name: str) -> type[MseCodec]:
    @dataclass(frozen=True)
    class Halved(MseCodec):
        half: bool = True

    Halved.name = name
    return Halved


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Codec]]:
    """The registered codecs, as before once the test is over."""
    codecs = dict(CODECS)
    monkeypatch.setattr("tq_core.registry.CODECS", codecs)
    return codecs


def test_a_codec_of_ones_own_comes_back_from_json(registry: dict[str, type[Codec]]) -> None:
    cls = register_codec(halved("halved"))
    codec = cls(bits=3)
    back = codec_from_dict(json.loads(json.dumps(codec_to_dict(codec))))
    assert (back, type(back)) == (codec, cls)
    assert registry["halved"] is cls


def test_a_class_defined_again_replaces_itself(registry: dict[str, type[Codec]]) -> None:
    register_codec(halved("halved"))
    again = register_codec(halved("halved"))
    assert registry["halved"] is again


def test_a_taken_name_is_refused(registry: dict[str, type[Codec]]) -> None:
    with pytest.raises(InvalidCodecError, match="'mse' belongs to MseCodec"):
        register_codec(halved("mse"))
    assert registry["mse"] is MseCodec


@pytest.mark.parametrize("nothing", [Codec, halved(""), int, MseCodec()], ids=["abstract", "nameless", "int", "codec"])
def test_what_is_no_codec_class_is_refused(registry: dict[str, type[Codec]], nothing: type[Codec]) -> None:
    with pytest.raises(InvalidCodecError, match="derive a class"):
        register_codec(nothing)
