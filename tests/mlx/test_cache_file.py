"""save_cache and load_cache: what comes back is what was saved, and what a file cannot hold is refused."""

import os
from dataclasses import replace

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.models.cache import (
    ArraysCache,
    BatchKVCache,
    BatchRotatingKVCache,
    CacheList,
    ConcatenateKVCache,
    KVCache,
)

import tq_contract
from small_caches import SMALL, filled, in_use, snapshot, with_parts, without_tokens
from tq_core import NonFiniteError
from tq_mlx import (
    CacheFileError,
    TurboQuantConfig,
    TurboQuantKVCache,
    TurboQuantRotatingKVCache,
    UnsupportedCacheError,
    WrongModelError,
    cache_metadata,
    load_cache,
    save_cache,
)
from vectors import feed, keys_and_values


def test_every_kind_of_cache_comes_back(tmp_path):
    cache = [*in_use(), *with_parts(), *without_tokens()]
    save_cache(tmp_path / "cache.safetensors", cache, metadata={"prompt": "Größe\n"})
    again = load_cache(tmp_path / "cache.safetensors")
    assert [type(layer) for layer in again] == [type(layer) for layer in cache]
    assert snapshot(again) == snapshot(cache)
    assert cache_metadata(tmp_path / "cache.safetensors") == {"prompt": "Größe\n"}
    assert os.listdir(tmp_path) == ["cache.safetensors"]
    for layer, twin in list(zip(cache, again, strict=True))[: len(in_use())]:
        for target in (layer, twin):
            feed(target, *keys_and_values(6, seed=9), [1, 4, 1])
    assert snapshot(again) == snapshot(cache)


configs = st.builds(
    replace,
    st.sampled_from([TurboQuantConfig.from_preset(preset.name) for preset in tq_contract.load().presets]),
    sink_tokens=st.integers(0, 3),
    tail_tokens=st.integers(0, 6),
    block_tokens=st.integers(1, 5),
    center_block=st.sampled_from([None, 1, 3, 8]),
    key_bits=st.none(),
)


@given(
    config=configs,
    window=st.none() | st.integers(1, 25),
    sizes=st.lists(st.integers(1, 12), max_size=6),
    trimmed=st.integers(0, 12),
    batch=st.integers(1, 2),
    dtype=st.sampled_from([mx.float32, mx.float16, mx.bfloat16]),
)
@settings(max_examples=40)
def test_saved_and_appended_to_it_is_the_cache_that_was_never_saved(
    config, window, sizes, trimmed, batch, dtype, tmp_path_factory
):
    path = tmp_path_factory.mktemp("round") / "cache.safetensors"
    shape = {"batch": batch, "head_dim": 32, "dtype": dtype}
    cache = [TurboQuantKVCache(config) if window is None else TurboQuantRotatingKVCache(config, window)]
    if sizes:
        filled(cache[0], *sizes, **shape)
        cache[0].trim(trimmed)
    save_cache(path, cache)
    again = load_cache(path)
    assert again[0].config == config
    assert again[0].config.preset == config.preset
    assert snapshot(again) == snapshot(cache)
    for target in (cache, again):
        filled(target[0], 3, 1, 7, seed=5, **shape)
    assert snapshot(again) == snapshot(cache)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (BatchKVCache([0, 2]), r"layer 1 holds a BatchKVCache.*cache\.extract"),
        (BatchRotatingKVCache(8, [0, 2]), r"layer 1 holds a BatchRotatingKVCache.*cache\.extract"),
        (CacheList(KVCache(), BatchKVCache([0])), r"layer 1, part 1 holds a BatchKVCache"),
        (ConcatenateKVCache(), "layer 1 holds a ConcatenateKVCache"),
        (None, "layer 1 holds a NoneType"),
        (type("KVCache", (KVCache,), {})(), "layer 1 holds a KVCache"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_by_layer(layer, named, tmp_path):
    with pytest.raises(UnsupportedCacheError, match=named):
        save_cache(tmp_path / "cache.safetensors", [KVCache(), layer])
    assert os.listdir(tmp_path) == []


def test_a_dtype_that_a_file_cannot_hold_is_refused(tmp_path):
    cache = ArraysCache(1)
    cache[0] = mx.zeros(3, mx.complex64)
    with pytest.raises(UnsupportedCacheError, match=r"cache\.0\.0\.0.*complex64"):
        save_cache(tmp_path / "cache.safetensors", [cache])


def test_rows_of_a_batch_are_saved_one_by_one(tmp_path):
    batch = BatchKVCache.merge([filled(KVCache(), 5), filled(KVCache(), 9, seed=1)])
    save_cache(tmp_path / "row", [batch.extract(1)])
    assert mx.array_equal(load_cache(tmp_path / "row")[0].keys, keys_and_values(9, seed=1)[0])


def test_a_cache_with_nan_is_refused(tmp_path):
    cache = filled(TurboQuantKVCache(SMALL), 40)
    cache.update_and_fetch(keys_and_values(1)[0] * float("nan"), keys_and_values(1)[1])
    with pytest.raises(NonFiniteError, match="tail keys"):
        save_cache(tmp_path / "cache.safetensors", [cache])


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}, {"a": None}, {"a": "\ud800"}, {"a": "x" * 2000}])
def test_metadata_that_no_header_holds_is_refused(metadata, tmp_path, monkeypatch):
    monkeypatch.setattr("tq_mlx.cache_manifest.LONGEST_HEADER", 2000)
    with pytest.raises(CacheFileError, match="metadata"):
        save_cache(tmp_path / "cache.safetensors", [KVCache()], metadata=metadata)
    assert os.listdir(tmp_path) == []


# Models


def test_a_cache_belongs_to_its_model(tiny_llama, tiny_gemma, tmp_path):
    path = tmp_path / "cache.safetensors"
    save_cache(path, [KVCache()], model=tiny_llama)
    assert len(load_cache(path, model=tiny_llama)) == len(load_cache(path)) == 1
    with pytest.raises(WrongModelError, match=r"made by llama [0-9a-f]{12}, and not by gemma3_text"):
        load_cache(path, model=tiny_gemma)
    save_cache(path, [KVCache()])
    with pytest.raises(WrongModelError, match="does not say"):
        load_cache(path, model=tiny_llama)
