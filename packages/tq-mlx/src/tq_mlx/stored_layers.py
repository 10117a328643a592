"""Layers of a prompt cache as names and states, and back: which caches a file may hold.

A name in a file is looked up here and nowhere else, and a state is checked before a cache is made of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mlx_lm.models.cache import (
    ArraysCache,
    BatchKVCache,
    BatchRotatingKVCache,
    CacheList,
    ChunkedKVCache,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
)

from tq_mlx import upstream_state
from tq_mlx.batch import BatchTurboQuantKVCache
from tq_mlx.cache import TurboQuantKVCache
from tq_mlx.errors import CacheStateError, UnsupportedCacheError
from tq_mlx.rotating import TurboQuantRotatingKVCache
from tq_mlx.state_check import check_batch_state, check_state, check_window_state

OURS: dict[type, Callable[[object], object]] = {
    TurboQuantKVCache: check_state,
    TurboQuantRotatingKVCache: check_window_state,
    BatchTurboQuantKVCache: check_batch_state,
}
"""Compressed caches, with the check that their ``from_state`` makes."""

UPSTREAM: dict[type, Callable[[object], object]] = {
    KVCache: upstream_state.check_dense,
    RotatingKVCache: upstream_state.check_rotating,
    QuantizedKVCache: upstream_state.check_quantized,
    ChunkedKVCache: upstream_state.check_chunked,
    ArraysCache: upstream_state.check_arrays,
}
"""mlx-lm's caches that are all in their ``state``, with the check that their ``from_state`` lacks."""

CHECKS = OURS | UPSTREAM

BATCHED: tuple[type, ...] = (BatchKVCache, BatchRotatingKVCache)
"""Caches of many requests at a time, which are saved row by row."""

CLASSES: dict[str, type] = {cls.__name__: cls for cls in (*CHECKS, CacheList)}


@dataclass(frozen=True)
class StoredLayer:
    """One layer: the name of its cache's class, and its state as a tree of lists, mappings, arrays and scalars.

    A CacheList's state is the list of its caches, each a StoredLayer.
    """

    class_name: str
    state: Any


def take_apart(caches: Sequence[Any]) -> list[StoredLayer]:
    """Return the layers of a prompt cache, each checked as it will be when it is read again.

    Raises:
        UnsupportedCacheError: a layer's cache is batched, or does not come back whole from its state.
        CacheStateError, NonFiniteError: a layer's parts do not fit together, or hold NaN or Inf.
    """
    return [take_layer_apart(f"layer {index}", cache) for index, cache in enumerate(caches)]


def take_layer_apart(where: str, cache: Any) -> StoredLayer:
    cls = type(cache)
    if isinstance(cache, BATCHED):
        raise UnsupportedCacheError(
            f"{where} holds a {cls.__name__}, of many requests at a time: take each row out with "
            "cache.extract(row) on every layer, and save the rows as files of their own"
        )
    if cls is CacheList:
        inner = enumerate(cast("Sequence[Any]", cache.caches))
        return StoredLayer(cls.__name__, [take_layer_apart(f"{where}, part {n}", part) for n, part in inner])
    if cls not in CHECKS:
        raise UnsupportedCacheError(
            f"{where} holds a {cls.__name__}: a file can hold {', '.join(CLASSES)}; prefill the prompt anew instead"
        )
    CHECKS[cls](cache.state)
    return StoredLayer(cls.__name__, cache.state)


def restore(layer: StoredLayer) -> Any:
    """Return the cache of a layer.

    Raises:
        CacheStateError: the class is not known, or the state does not fit together.
        TurboQuantError: what ``check_state`` raises besides.
    """
    cls = CLASSES.get(layer.class_name)
    if cls is None:
        raise CacheStateError(f"cache class {layer.class_name!r} is not known: a file can hold {', '.join(CLASSES)}")
    if cls is CacheList:
        return CacheList(*[restore(part) for part in parts_of(layer)])
    if cls in UPSTREAM:
        UPSTREAM[cls](layer.state)
    return cast("Any", cls).from_state(layer.state)


def parts_of(layer: StoredLayer) -> list[StoredLayer]:
    """Return the layers that a CacheList's state must be."""
    parts = cast("list[object]", layer.state) if isinstance(layer.state, list) else []
    stored = [part for part in parts if isinstance(part, StoredLayer)]
    if not stored or len(stored) != len(parts):
        raise CacheStateError("a CacheList is a list of one cache or more")
    return stored
