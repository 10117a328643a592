import importlib
from dataclasses import replace

import mlx.core as mx
import mlx_lm.models.cache as cache_module
import pytest
from mlx_lm.models.cache import KVCache, RotatingKVCache

from tq_core import MseCodec, NonFiniteError, RandomOrthogonal, UnsupportedHeadDimError
from tq_mlx import (
    ConfigError,
    TurboQuantConfig,
    TurboQuantKVCache,
    UnsupportedCacheError,
    UnsupportedFamilyError,
    compress_by_default,
    upgrade_cache_list,
)
from vectors import keys_and_values

generation = importlib.import_module("mlx_lm.generate")  # the package has a function of that name
CONFIG = TurboQuantConfig.from_preset("lloyd_k4v4")


def filled(cache, tokens=400, **shape):
    cache.update_and_fetch(*keys_and_values(tokens, **shape))
    return cache


def dense_list():
    return [filled(KVCache(), seed=index) for index in range(3)]


def test_it_replaces_every_layer_in_place_and_says_so():
    cache = dense_list()
    truths = [layer.keys_and_values() for layer in cache]
    old_bytes = [layer.nbytes for layer in cache]
    same_list = cache
    events = upgrade_cache_list(cache, 64, config=CONFIG, model_family="llama")
    assert cache is same_list
    assert [type(layer) for layer in cache] == [TurboQuantKVCache] * 3
    for index, (event, layer) in enumerate(zip(events, cache, strict=True)):
        assert (event.layer, event.compressed, event.before, event.after) == (
            index,
            True,
            "KVCache",
            "TurboQuantKVCache",
        )
        assert (event.offset, event.old_bytes, event.new_bytes) == (400, old_bytes[index], layer.nbytes)
        assert event.ratio == layer.nbytes / old_bytes[index] < 0.7
        assert (event.family, event.config) == ("llama", "lloyd_k4v4")
    for layer, (keys, values) in zip(cache, truths, strict=True):
        decoded = [view.decode() for view in layer.keys_and_values()]
        for ours, truth in zip(decoded, (keys, values), strict=True):
            assert mx.square(ours - truth).sum().item() < 0.02 * mx.square(truth).sum().item()


def test_it_is_the_cache_that_update_and_fetch_would_have_built():
    upgraded, direct = [filled(KVCache())], filled(TurboQuantKVCache(CONFIG))
    upgrade_cache_list(upgraded, config=CONFIG, model_family="llama")
    for ours, theirs in zip(upgraded[0].keys_and_values(), direct.keys_and_values(), strict=True):
        assert mx.array_equal(ours.decode(), theirs.decode())


def test_below_the_threshold_nothing_happens():
    cache = dense_list()
    assert upgrade_cache_list(cache, 401, config=CONFIG, model_family="llama") == []
    assert all(type(layer) is KVCache for layer in cache)
    assert upgrade_cache_list(cache, 400, config=CONFIG, model_family="llama") != []


def test_a_second_call_changes_nothing():
    cache = dense_list()
    upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    layers = list(cache)
    assert upgrade_cache_list(cache, config=CONFIG, model_family="llama") == []
    assert all(now is then for now, then in zip(cache, layers, strict=True))


def test_empty_caches_compress_from_the_first_token_on():
    cache = [KVCache(), KVCache()]
    events = upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    assert [event.ratio for event in events] == [1.0, 1.0]
    assert all(layer.empty() for layer in cache)
    assert filled(cache[0]).packed.length == 256


def test_sliding_window_layers_stay_dense_and_the_event_says_why():
    cache = [RotatingKVCache(max_size=32), KVCache()]
    for layer in cache:
        filled(layer)
    events = upgrade_cache_list(cache, config=CONFIG, model_family="gemma")
    assert [event.compressed for event in events] == [False, True]
    assert "sliding-window" in events[0].reason
    assert type(cache[0]) is RotatingKVCache


@pytest.mark.parametrize(
    ("family", "named"),
    [
        (None, "model_family is None"),
        ("mamba", "'mamba' is not in the contract"),
        ("qwen2", "'qwen2' is research-only"),
    ],
)
def test_a_family_outside_the_contract_is_refused(family, named):
    cache = dense_list()
    with pytest.raises(UnsupportedFamilyError, match=named):
        upgrade_cache_list(cache, config=CONFIG, model_family=family)
    assert all(type(layer) is KVCache for layer in cache)


@pytest.mark.parametrize("side", ["keys", "values"])
def test_nan_in_any_layer_is_refused_and_every_layer_kept(side):
    cache = dense_list()
    array = getattr(cache[1], side)
    array[0, 1, 17, 5] = float("nan")
    layers = list(cache)
    with pytest.raises(NonFiniteError, match=f"layer 1, {side}"):
        upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    assert all(now is then for now, then in zip(cache, layers, strict=True))
    assert all(type(layer) is KVCache for layer in cache)


def test_a_head_dimension_that_the_rotation_does_not_serve_is_refused():
    cache = [filled(KVCache()), filled(KVCache(), head_dim=65)]
    with pytest.raises(UnsupportedHeadDimError, match="65"):
        upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    assert all(type(layer) is KVCache for layer in cache)
    general = MseCodec(bits=4, rotation=RandomOrthogonal(seed=0))
    upgrade_cache_list(cache, config=replace(CONFIG, keys=general, values=general), model_family="llama")
    assert all(type(layer) is TurboQuantKVCache for layer in cache)


def test_a_layer_compressed_before_is_reported_beside_the_others():
    cache = [filled(TurboQuantKVCache(CONFIG)), filled(KVCache())]
    earlier = cache[0]
    events = upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    assert cache[0] is earlier
    assert [(event.compressed, event.reason, event.keys) for event in events] == [
        (True, "already compressed", "mse 4"),
        (True, "compressed from position 4 on", "mse 4"),
    ]


@pytest.mark.parametrize(
    "call",
    [
        lambda model, config: upgrade_cache_list([], config=config, model_family="llama"),
        lambda model, config: cache_module.make_prompt_cache(model, turboquant_config=config),
        lambda model, config: compress_by_default(model, config),
        lambda model, config: list(
            generation.generate_step(mx.arange(5), model, max_tokens=2, turboquant_config=config)
        ),
    ],
    ids=["upgrade", "make_prompt_cache", "compress_by_default", "generate_step"],
)
def test_a_presets_name_is_no_configuration_and_the_error_says_what_is(call, tiny_llama):
    with pytest.raises(ConfigError, match=r"use TurboQuantConfig\.from_preset\('lloyd_k4v4'\)"):
        call(tiny_llama, "lloyd_k4v4")


def test_one_layers_cache_is_no_list():
    with pytest.raises(UnsupportedCacheError, match="the cache is a KVCache: pass the list"):
        upgrade_cache_list(KVCache(), config=CONFIG, model_family="llama")
