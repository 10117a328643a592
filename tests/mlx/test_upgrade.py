from dataclasses import replace

import mlx.core as mx
import pytest
from mlx_lm.models.cache import KVCache, RotatingKVCache

from tq_core import MseCodec, NonFiniteError, RandomOrthogonal, UnsupportedHeadDimError
from tq_mlx import (
    TurboQuantConfig,
    TurboQuantKVCache,
    UnsupportedFamilyError,
    upgrade_cache_list,
)
from vectors import keys_and_values

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


def test_a_layer_compressed_before_is_reported_with_its_own_codec():
    cache = [filled(TurboQuantKVCache(replace(CONFIG, keys=MseCodec(bits=5)))), filled(KVCache())]
    earlier = cache[0]
    events = upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    assert cache[0] is earlier
    assert [(event.compressed, event.keys, event.values) for event in events] == [
        (True, "mse 5", "mse 4"),
        (True, "mse 4", "mse 4"),
    ]
