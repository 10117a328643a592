from dataclasses import replace
from math import log2
from statistics import median

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_lm.models.cache import KVCache

from tq_core import MseCodec, UniformCodec
from tq_mlx import ConfigError, TurboQuantConfig, status, upgrade_cache_list
from tq_mlx.conversion import layer_key_norm
from tq_mlx.key_bits import KeyNoise, MeanBits
from tq_mlx.key_norm import key_norm
from vectors import keys_and_values

BASE = TurboQuantConfig.from_preset("lloyd_k4v4")
NORMS = st.lists(st.floats(0.01, 1000), min_size=1, max_size=40)


@given(norms=NORMS, mean=st.floats(2, 8))
def test_the_budget_is_kept_and_nothing_more_fits(norms, mean):
    bits = MeanBits(mean).bits(norms)
    assert all(2 <= b <= 8 for b in bits)
    assert sum(bits) <= mean * len(bits) + 1e-6
    if len(set(norms)) == len(norms) and max(bits) < 8:  # one layer steps up at a time
        spare = mean * len(bits) - sum(bits)
        assert spare < len(bits)


@given(norms=NORMS, mean=st.floats(2, 8))
def test_longer_keys_get_no_fewer_bits(norms, mean):
    pairs = sorted(zip(norms, MeanBits(mean).bits(norms), strict=True))
    assert [bits for _, bits in pairs] == sorted(bits for _, bits in pairs)


def test_a_layer_of_twice_the_norm_gets_one_bit_more():
    assert MeanBits(4.0).bits([1, 2, 0.5]) == [4, 5, 3]
    # The definition: b = round(β + log2(norm / median)) for one β.
    norms = [3.0, 50.0, 8.0, 10.0, 11.0, 9.0, 24.0]
    bits = MeanBits(4.5).bits(norms)
    shifts = [b - log2(norm / median(norms)) for b, norm in zip(bits, norms, strict=True)]
    assert max(shifts) - min(shifts) <= 1 + 1e-9


def test_a_noise_target_takes_the_fewest_bits_that_meet_it():
    keys, _ = keys_and_values(2000, head_dim=128)
    keys = keys - keys.mean(axis=-2, keepdims=True)
    norm = key_norm(keys, None)
    for error in (0.5, 1.0, 2.0):
        (bits,) = KeyNoise(error).bits([norm])
        measured = [
            mx.sqrt(mx.square(codec.decode(codec.encode(keys)) - keys).sum(axis=-1).mean()).item()
            for codec in (MseCodec(bits=bits), MseCodec(bits=bits - 1))
        ]
        assert measured[0] <= error * 1.05 < measured[1] * 1.1


def test_the_norm_leaves_the_sink_and_the_mean_out():
    keys = mx.concatenate([mx.full((1, 1, 4, 64), 100.0), mx.full((1, 1, 50, 64), 3.0)], axis=-2)
    keys[..., 4::2, 0] = keys[..., 4::2, 0] + 2  # alternates by ±1 around its mean in one coordinate
    layer = KVCache()
    layer.update_and_fetch(keys, keys)
    config = TurboQuantConfig(MseCodec(bits=4), MseCodec(bits=4), sink_tokens=4)
    assert layer_key_norm(layer, config) == pytest.approx(1.0, rel=1e-3)
    assert layer_key_norm(layer, replace(config, center_keys=False)) > 24


def layers(scales):
    cache = []
    for seed, scale in enumerate(scales):
        keys, values = keys_and_values(400, seed=seed)
        layer = KVCache()
        layer.update_and_fetch(keys * scale, values)
        cache.append(layer)
    return cache


def test_the_choice_is_made_once_for_all_layers_and_recorded():
    config = replace(BASE, key_bits=MeanBits(4.0))
    cache = layers([1.0, 1.0, 4.0, 1.0, 1.0, 0.25])
    events = upgrade_cache_list(cache, config=config, model_family="llama")
    bits = [layer.config.keys.bits for layer in cache]
    assert bits[2] == max(bits) > min(bits) == bits[5]
    assert sum(bits) <= 24
    assert [event.keys for event in events] == [f"mse {b}" for b in bits]
    assert [layer.keys for layer in status(cache).layers] == [f"mse {b}" for b in bits]
    assert all(layer.config.key_bits is None for layer in cache)  # decided: a saved cache keeps the decision
    restored = type(cache[2]).from_state(cache[2].state)
    assert restored.config.keys.bits == bits[2]


def test_a_codec_without_the_width_takes_the_next_below():
    config = replace(BASE, keys=UniformCodec(bits=4), key_bits=MeanBits(8.0))
    assert [c.keys.bits for c in config.for_layers([1.0, 1.0])] == [8, 8]
    config = replace(config, key_bits=KeyNoise(0.0115))
    assert [c.keys.bits for c in config.for_layers([1.0])] == [6]  # Lloyd–Max would take 7


def test_an_empty_cache_waits_for_keys():
    cache = [KVCache(), KVCache()]
    config = replace(BASE, key_bits=MeanBits(4.0))
    assert upgrade_cache_list(cache, config=config, model_family="llama") == []
    assert all(type(layer) is KVCache for layer in cache)


@pytest.mark.parametrize("rule", [MeanBits(4.25), KeyNoise(0.5)])
def test_the_rule_survives_json_and_changes_the_fingerprint(rule):
    config = replace(BASE, key_bits=rule)
    assert TurboQuantConfig.from_json(config.to_json()) == config
    assert config.fingerprint != BASE.fingerprint


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"kind": "mean", "mean": 9}, "9"),
        ({"kind": "mean", "mean": 1.5}, "1.5"),
        ({"kind": "noise", "error": 0}, "0"),
        ({"kind": "median"}, "'median'"),
        ({"kind": "mean"}, "mean"),
        ({"kind": "mean", "mean": 4, "colour": 1}, "colour"),
    ],
)
def test_bad_rules_are_named(rule, named):
    with pytest.raises(ConfigError, match=named):
        TurboQuantConfig.from_dict(BASE.to_dict() | {"key_bits": rule})
