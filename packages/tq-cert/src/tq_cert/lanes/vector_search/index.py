"""A codec as an index: blocks of coded vectors, searched through the codec's own scores."""

from collections.abc import Callable
from typing import Any

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_core import Code, Codec

BLOCK = 8192
"""Vectors that are coded and scored at a time: it bounds what exists uncompressed."""

QUERIES = 256
"""Queries that are searched for at a time."""

Index = tuple[Code, ...]


def build(codec: Codec[Any], vectors: mx.array) -> Index:
    """Code the vectors [N, D]."""
    index: list[Code] = []
    for start in range(0, vectors.shape[0], BLOCK):
        code = codec.encode(vectors[start : start + BLOCK])
        mx.eval(list(code.arrays().values()))
        index.append(code)
    return tuple(index)


def search(codec: Codec[Any], index: Index, queries: mx.array, count: int) -> mx.array:
    """The places [Q, count] of the vectors with the largest estimated inner products, best first."""
    return in_batches(queries, lambda q: best([codec.scores(q, code) for code in index], count))


def search_exactly(vectors: mx.array, queries: mx.array, count: int) -> mx.array:
    """The same by true inner products."""
    return in_batches(queries, lambda q: best([q @ vectors.T], count))


def in_batches(queries: mx.array, find: Callable[[mx.array], mx.array]) -> mx.array:
    found: list[mx.array] = []
    for start in range(0, queries.shape[0], QUERIES):
        found.append(find(queries[start : start + QUERIES]))
        mx.eval(found[-1])
    return mx.concatenate(found)


def best(scores: list[mx.array], count: int) -> mx.array:
    """The places of the largest of all scores [Q, n] side by side, best first."""
    joined = mx.concatenate(scores, axis=-1)
    places = mx.argpartition(-joined, count - 1, axis=-1)[..., :count]
    order = mx.argsort(-mx.take_along_axis(joined, places, axis=-1), axis=-1)
    return mx.take_along_axis(places, order, axis=-1)


def nbytes(index: Index) -> int:
    """Bytes of all codes."""
    return sum(code.nbytes for code in index)
