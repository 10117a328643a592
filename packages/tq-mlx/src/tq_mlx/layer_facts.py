"""What one layer of a cache file holds, in a few numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models.cache import ArraysCache, CacheList, ChunkedKVCache, KVCache, QuantizedKVCache, RotatingKVCache

from tq_mlx.batch import BatchTurboQuantKVCache
from tq_mlx.cache import TurboQuantKVCache
from tq_mlx.compressed import CompressedCache
from tq_mlx.rotating import TurboQuantRotatingKVCache

GOOD = "good"


@dataclass(frozen=True)
class LayerFacts:
    """One layer of a file.

    Attributes:
        index: place in the cache list.
        class_name: class of the cache.
        keys: codec of the keys, such as "mse 4", or their dtype; empty where there are none.
        values: codec of the values, or their dtype.
        tokens: tokens held, by segment; in a CacheList the segments' names begin with the place of their cache.
        nbytes: bytes of all arrays, growth capacity included.
        bits_per_value: stored bits per value of the coded tokens, or of all where none are coded; None without tokens.
        verdict: "good", or what is wrong.
    """

    index: int
    class_name: str
    keys: str = ""
    values: str = ""
    tokens: dict[str, int] = field(default_factory=dict[str, int])
    nbytes: int = 0
    bits_per_value: float | None = None
    verdict: str = GOOD


def facts_of(index: int, cache: Any) -> LayerFacts:
    """Return what a restored cache holds."""
    leaves = cast("list[tuple[str, object]]", tree_flatten(cache.state))
    nbytes = sum(leaf.nbytes for _, leaf in leaves if isinstance(leaf, mx.array))
    return LayerFacts(index, type(cache).__name__, **DESCRIPTIONS[type(cache)](cache), nbytes=nbytes)


def of_compressed(cache: CompressedCache) -> dict[str, Any]:
    memory = cache.memory()
    coded = memory["packed"] if memory["packed"].tokens else max(memory.values(), key=lambda m: m.bits_per_value)
    return {
        "keys": cache.config.keys.label,
        "values": cache.config.values.label,
        "tokens": {name: segment.tokens for name, segment in memory.items()},
        "bits_per_value": coded.bits_per_value or None,
    }


def of_dense(cache: Any) -> dict[str, Any]:
    if cache.keys is None:
        return {"tokens": {"dense": 0}}
    name = str(cache.keys.dtype).removeprefix("mlx.core.")
    held = min(cache.offset, cache.keys.shape[2])
    return {"keys": name, "values": name, "tokens": {"dense": held}, "bits_per_value": 8.0 * cache.keys.dtype.size}


def of_quantized(cache: QuantizedKVCache) -> dict[str, Any]:
    name = f"affine {cache.bits}"
    if cache.keys is None:
        return {"keys": name, "values": name, "tokens": {"quantized": 0}}
    bits = cache.bits + 2 * 8.0 * cache.keys[1].dtype.size / cache.group_size
    return {"keys": name, "values": name, "tokens": {"quantized": cache.offset}, "bits_per_value": bits}


def of_arrays(cache: ArraysCache) -> dict[str, Any]:
    return {"tokens": {}}


def of_list(cache: CacheList) -> dict[str, Any]:
    parts = [DESCRIPTIONS[type(part)](part) for part in cache.caches]
    return {
        "keys": ", ".join(part["keys"] for part in parts if "keys" in part),
        "values": ", ".join(part["values"] for part in parts if "values" in part),
        "tokens": {f"{n}.{name}": count for n, part in enumerate(parts) for name, count in part["tokens"].items()},
    }


DESCRIPTIONS: dict[type, Callable[[Any], dict[str, Any]]] = {
    TurboQuantKVCache: of_compressed,
    TurboQuantRotatingKVCache: of_compressed,
    BatchTurboQuantKVCache: of_compressed,
    KVCache: of_dense,
    RotatingKVCache: of_dense,
    ChunkedKVCache: of_dense,
    QuantizedKVCache: of_quantized,
    ArraysCache: of_arrays,
    CacheList: of_list,
}
"""By class: every field of LayerFacts that is not common to all caches."""
