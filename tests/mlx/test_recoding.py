"""Compressed layers under another configuration: refused by name, every layer as it was; the same one does nothing."""

import copy
import importlib
import json
from dataclasses import replace

import mlx.core as mx
import mlx_lm
import pytest
from mlx_lm.models.cache import KVCache, LRUPromptCache, make_prompt_cache

from lively_llama import lively_llama
from tq_mlx import (
    TurboQuantConfig,
    TurboQuantKVCache,
    UnsupportedCacheError,
    compress_by_default,
    upgrade_cache_list,
)
from tq_mlx.batch import BatchTurboQuantKVCache
from tq_mlx.key_bits import MeanBits
from vectors import keys_and_values

LLOYD, UNIFORM, EQUAL_NOISE = map(TurboQuantConfig.from_preset, ("lloyd_k4v4", "uniform_k4v4", "equal_noise_k4v4"))
TOKENS = [1 + index * 7 % 90 for index in range(300)]
REFUSAL = "layer 0 is compressed as lloyd_k4v4, and uniform_k4v4 is asked for .* start from a dense cache"


def compressed(config, layers=3):
    cache = []
    for seed in range(layers):
        keys, values = keys_and_values(300, seed=seed)
        cache.append(KVCache())
        cache[-1].update_and_fetch((1 + seed) * keys, values)
    upgrade_cache_list(cache, config=config, model_family="llama")
    return cache


def upgrade(cache, config, **rest):
    return upgrade_cache_list(cache, config=config, model_family="llama", **rest)


def contents(cache):
    return [[view.decode().tolist() for view in layer.keys_and_values()] for layer in cache]


@pytest.mark.parametrize("start", [0, 1000])
def test_another_preset_is_refused_and_every_layer_kept(start):
    cache = compressed(LLOYD)
    layers, before = list(cache), contents(cache)
    with pytest.raises(UnsupportedCacheError, match=REFUSAL):
        upgrade(cache, UNIFORM, k_start=start)
    assert all(now is then for now, then in zip(cache, layers, strict=True))
    assert contents(cache) == before


def test_one_layer_of_another_configuration_is_enough_and_what_differs_is_named(tmp_path):
    cache = [KVCache(), *compressed(replace(LLOYD, tail_tokens=16), layers=1)]
    cache[0].update_and_fetch(*keys_and_values(300))
    with pytest.raises(UnsupportedCacheError, match=r"layer 1 is compressed as .*\(they differ in tail_tokens\)"):
        upgrade(cache, LLOYD, events_path=tmp_path / "events")
    assert [type(layer) for layer in cache] == [KVCache, TurboQuantKVCache]
    event = json.loads((tmp_path / "events").read_text())
    assert (event["error"], event["rollback"], event["config"]) == ("UnsupportedCacheError", True, "lloyd_k4v4")


@pytest.mark.parametrize("config", [LLOYD, EQUAL_NOISE, replace(EQUAL_NOISE, key_bits=MeanBits(3.5), preset=None)])
@pytest.mark.parametrize("renamed", [False, True])
def test_the_same_configuration_does_nothing_whatever_it_is_called(config, renamed):
    cache = compressed(config)
    assert upgrade(cache, replace(config, preset=None) if renamed else config) == []


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ("equal_noise_k4v4", "equal_noise_k45v4"),
        ("equal_noise_k4v4", "equal_noise_k3v3"),
        ("equal_noise_k4v4", "lloyd_k4v4"),
        ("lloyd_k4v4", "equal_noise_k4v4"),
        ("lloyd_k4v4", "polarquant_exp"),
        ("polarquant_exp", "equal_noise_k4v4"),
    ],
)
def test_rules_for_key_bits_are_told_apart(held, asked):
    cache = compressed(TurboQuantConfig.from_preset(held))
    with pytest.raises(UnsupportedCacheError, match=f"compressed as {held}, and {asked} is asked for"):
        upgrade(cache, TurboQuantConfig.from_preset(asked))


def test_every_row_of_a_batch_counts():
    rows = [compressed(config, layers=1)[0] for config in (LLOYD, UNIFORM)]
    assert upgrade([BatchTurboQuantKVCache.merge([rows[0], rows[0]])], LLOYD) == []
    with pytest.raises(UnsupportedCacheError, match="compressed as uniform_k4v4, and lloyd_k4v4 is asked for"):
        upgrade([BatchTurboQuantKVCache.merge(rows)], LLOYD)


@pytest.fixture(scope="module")
def model():
    return lively_llama()


def generate(model, cache, config):
    steps = importlib.import_module("mlx_lm.generate").generate_step(
        mx.array([5, 6]), model, prompt_cache=cache, max_tokens=3, turboquant_config=config
    )
    return [token for token, _ in steps]


def test_generation_behind_a_reused_prompt_cache_goes_on_by_its_own_preset_alone(model):
    cache = make_prompt_cache(model)
    model(mx.array([TOKENS]), cache=cache)
    upgrade(cache, LLOYD)
    lru = LRUPromptCache()
    lru.insert_cache("model", TOKENS, cache)
    found, _ = lru.fetch_nearest_cache("model", TOKENS)
    with pytest.raises(UnsupportedCacheError, match=REFUSAL):
        generate(model, found, UNIFORM)
    assert [layer.offset for layer in found] == [len(TOKENS)] * len(found)
    twin = copy.deepcopy(found)
    assert generate(model, found, LLOYD) == generate(model, twin, None)


def test_a_model_that_compresses_by_default_is_not_asked_for_another_preset(model):
    own = lively_llama()
    compress_by_default(own, EQUAL_NOISE, calibration=TOKENS)
    assert len(generate(own, make_prompt_cache(own), EQUAL_NOISE)) == 3
    with pytest.raises(UnsupportedCacheError, match="compressed as equal_noise_k4v4, and uniform_k4v4 is asked for"):
        mlx_lm.models.cache.make_prompt_cache(own, turboquant_config=UNIFORM)
