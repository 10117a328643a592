import json
from dataclasses import FrozenInstanceError, fields, replace
from importlib.resources import files

import pytest

import tq_contract
from tq_core import Identity, InvalidCodecError, MseCodec, UniformCodec
from tq_mlx import ConfigError, TurboQuantConfig

CUSTOM = TurboQuantConfig(keys=MseCodec(bits=3), values=UniformCodec(bits=4))


@pytest.mark.parametrize("name", [preset.name for preset in tq_contract.load().presets])
def test_a_preset_is_the_contracts(name):
    config = TurboQuantConfig.from_preset(name)
    packaged = json.loads(files("tq_contract").joinpath("contract.json").read_text())
    parameters = next(preset["parameters"] for preset in packaged["presets"] if preset["name"] == name)
    assert {key: value for key, value in config.to_dict().items() if key != "preset"} == parameters
    assert config.preset == config.label == name
    assert TurboQuantConfig.from_json(config.to_json()) == config


def test_the_round_trip_keeps_every_field():
    config = replace(CUSTOM, center_keys=False, sink_tokens=7, tail_tokens=9, block_tokens=3, preset="x")
    config = replace(config, sliding_layers="compressed")
    again = TurboQuantConfig.from_json(config.to_json())
    assert [getattr(again, f.name) for f in fields(again)] == [getattr(config, f.name) for f in fields(config)]


@pytest.mark.parametrize(
    "change",
    [
        {"keys": MseCodec(bits=4)},
        {"keys": UniformCodec(bits=3)},
        {"values": UniformCodec(bits=4, rotation=Identity())},
        {"values": UniformCodec(bits=4, scale_search=False)},
        {"center_keys": False},
        {"sink_tokens": 5},
        {"tail_tokens": 5},
        {"block_tokens": 5},
        {"sliding_layers": "compressed"},
    ],
    ids=str,
)
def test_every_field_changes_the_fingerprint(change):
    assert replace(CUSTOM, **change).fingerprint != CUSTOM.fingerprint


def test_the_name_of_a_preset_does_not():
    assert replace(CUSTOM, preset="lloyd_k4v4").fingerprint == CUSTOM.fingerprint


def test_the_fingerprint_is_stable():
    # Written down once: a change means that every stored fingerprint goes stale.
    assert CUSTOM.fingerprint == "90a48af95631d9ce3029f7ab074d5d76c243df96a6d5d078baed11f16acf71c4"


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(tq_contract.UnknownPresetError, match="lloyd_k4v4"):
        TurboQuantConfig.from_preset("lloyd_k4v5")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sink_tokens": -1}, "sink_tokens is -1"),
        ({"tail_tokens": -1}, "tail_tokens is -1"),
        ({"block_tokens": 0}, "block_tokens is 0"),
        ({"block_tokens": 1.5}, "block_tokens is 1.5"),
        ({"sink_tokens": True}, "sink_tokens is True"),
        ({"center_keys": "yes"}, "center_keys is 'yes'"),
        ({"sliding_layers": "both"}, "sliding_layers is 'both'"),
        ({"keys": {"codec": "nope"}}, "'nope' is not known"),
        ({"keys": {"codec": "mse", "bits": 9}}, "bits is 9"),
        ({"keys": {"codec": "uniform", "bits": 7}}, "bits is 7"),
        ({"values": {"codec": "mse", "colour": 1}}, "colour"),
        ({"values": {"codec": "mse", "gain": "norm", "scale_search": True}}, "scale_search"),
        ({"colour": 1}, "colour"),
    ],
)
def test_bad_fields_are_named(change, named):
    with pytest.raises(ConfigError, match=named):
        TurboQuantConfig.from_dict(CUSTOM.to_dict() | change)


@pytest.mark.parametrize("side", ["keys", "values"])
def test_a_side_that_is_no_codec_is_named(side):
    with pytest.raises(ConfigError, match=f"{side} is 4: use a codec"):
        replace(CUSTOM, **{side: 4})


@pytest.mark.parametrize("text", ["", "[]", "{", '{"keys": {}}', "null"])
def test_what_is_no_configuration_is_refused(text):
    with pytest.raises(ConfigError):
        TurboQuantConfig.from_json(text)


def test_a_configuration_is_frozen_and_hashable():
    with pytest.raises(FrozenInstanceError):
        CUSTOM.sink_tokens = 1
    assert hash(CUSTOM) == hash(replace(CUSTOM))


def test_polarquant_exp_takes_a_rotation():
    preset = TurboQuantConfig.from_preset("polarquant_exp")
    assert TurboQuantConfig.polarquant_exp(rotation="random_orthogonal") == preset
    assert TurboQuantConfig.polarquant_exp().label == "polarquant_exp"
    other = TurboQuantConfig.polarquant_exp(rotation="identity")
    assert (other.keys.rotation, other.values.rotation, other.preset) == (Identity(0), Identity(0), None)
    assert other.keys.level_bits == preset.keys.level_bits
    with pytest.raises(InvalidCodecError, match="'spiral'"):
        TurboQuantConfig.polarquant_exp(rotation="spiral")


@pytest.mark.parametrize("alias", ["paper_prod", "high_compression"])
def test_an_alias_is_its_preset(alias):
    assert TurboQuantConfig.from_preset(alias) == TurboQuantConfig.from_preset("paper_prod_qjl")
