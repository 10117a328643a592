"""Prompt caches with little in them, for tests of their files: every kind, and all that a compressed one can hold."""

from dataclasses import replace

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.cache import ArraysCache, CacheList, ChunkedKVCache, KVCache, QuantizedKVCache, RotatingKVCache

from tq_mlx import BatchTurboQuantKVCache, TurboQuantConfig, TurboQuantKVCache, TurboQuantRotatingKVCache
from tq_mlx.admission import Admission
from vectors import feed, keys_and_values

SMALL = replace(
    TurboQuantConfig.from_preset("lloyd_k4v4"), center_block=8, sink_tokens=3, tail_tokens=8, block_tokens=4
)
COMPRESSED = (TurboQuantKVCache, TurboQuantRotatingKVCache)


def filled(cache, *sizes, **shape):
    feed(cache, *keys_and_values(sum(sizes), **shape), sizes)
    return cache


def snapshot(cache):
    """Return all that a prompt cache is, in a form that compares."""
    leaves = tree_flatten([layer.state for layer in cache])
    return [(path, (leaf.dtype, leaf.tolist()) if isinstance(leaf, mx.array) else leaf) for path, leaf in leaves]


def small_cache():
    return filled(TurboQuantKVCache(SMALL, Admission("llama", research=False)), 40)


def small_window():
    """Return a compressed window that has moved on, beyond the sink and into a block of means."""
    return filled(TurboQuantRotatingKVCache(SMALL, 20, Admission("qwen2", research=True)), *[3] * 15)


def in_use():
    chunked = filled(ChunkedKVCache(16), 20)
    chunked.maybe_trim_front()
    quantized = filled(QuantizedKVCache(group_size=32, bits=4), 7, 1)
    ring = filled(RotatingKVCache(16, keep=4), 20, 1, 1)
    return [small_cache(), small_window(), filled(KVCache(), 40), ring, quantized, chunked]


def without_tokens():
    return [
        TurboQuantKVCache(SMALL),
        TurboQuantRotatingKVCache(SMALL, 20),
        KVCache(),
        RotatingKVCache(5),
        QuantizedKVCache(),
        ChunkedKVCache(4),
    ]


def small_batch():
    """Return two compressed rows of different lengths, the second still to skip padding."""
    batch = BatchTurboQuantKVCache.merge([small_cache(), filled(TurboQuantKVCache(SMALL), 23, seed=1)])
    batch.skip = [0, 2]
    return batch


def with_parts():
    arrays = ArraysCache(3)
    arrays[0], arrays[2] = mx.ones((1, 3), mx.bfloat16), mx.arange(4)[None]
    return [arrays, small_batch(), CacheList(filled(KVCache(), 3, value_dim=32), small_cache(), RotatingKVCache(5))]


def smallest_caches():
    """Return two caches with one token or two in each place that there is."""
    codec = replace(SMALL.keys, bits=1)
    config = replace(SMALL, keys=codec, values=codec, center_block=2, sink_tokens=1, tail_tokens=1, block_tokens=1)
    shape = {"heads": 1, "head_dim": 16}
    plain = filled(TurboQuantKVCache(config, Admission("llama", research=False)), 3, **shape)
    window = filled(TurboQuantRotatingKVCache(config, 4, Admission("gemma", research=True)), *[1] * 8, **shape)
    assert all(segment.tokens == 1 for segment in plain.memory().values())
    assert window.memory()["packed"].tokens == 2
    assert (window.dropped, window.held.centre.gone, window.held.centre.blocks) == (4, 1, 2)
    return [plain, window]
