"""What is searched: generated vectors with the spectrum and the clusters of real ones, or a model's embedding.

All vectors have length one, so that the nearest by inner product, by cosine and by distance are the same.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, cast

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.errors import OptionError
from tq_cert.lanes.models import LoadedModel
from tq_cert.lanes.vector_search.record import DataInfo
from tq_cert.lanes.vector_search.settings import SearchSettings

WITHIN = 0.5
"""Length of a vector's distance from its cluster's centre, of generated vectors, relative to the centre's."""


@dataclass(frozen=True)
class Vectors:
    """An index's vectors [N, D], the queries [Q, D], and what the report says of them."""

    indexed: mx.array
    queries: mx.array
    info: DataInfo


def generated(settings: SearchSettings) -> Vectors:
    """A mixture of clusters: the variance of direction i falls as 1/i, and directions are rotated at random."""
    keys = mx.random.split(mx.random.key(settings.seed), 4)
    count, dim = settings.vectors + settings.queries, settings.dim
    spread = mx.arange(1, dim + 1, dtype=mx.float32) ** -0.5
    centres = mx.random.normal((settings.clusters, dim), key=keys[0]) * spread
    which = mx.random.randint(0, settings.clusters, (count,), key=keys[1])
    points = centres[which] + WITHIN * mx.random.normal((count, dim), key=keys[2]) * spread
    turn = mx.linalg.qr(mx.random.normal((dim, dim), key=keys[3]), stream=mx.cpu)[0]
    name = f"generated: {settings.clusters} clusters, variance falling as 1/i"
    return split(points @ turn, settings, name)


def embedding(loaded: LoadedModel, settings: SearchSettings) -> Vectors:
    """The rows of the model's token embedding, in an order drawn from the seed.

    Raises:
        OptionError: the model has no such table where mlx-lm's models have it, or one of fewer rows than are asked for.
    """
    layer = getattr(getattr(loaded.model, "model", None), "embed_tokens", None)
    if layer is None:
        raise OptionError("--embedding", f"{loaded.info.name} has no model.embed_tokens", "choose another model")
    rows: mx.array = layer(mx.arange(layer.weight.shape[0])).astype(mx.float32)
    lengths = cast("list[float]", mx.linalg.norm(rows, axis=-1).tolist())
    rows = rows[mx.array([row for row, length in enumerate(lengths) if length])]
    if settings.vectors + settings.queries > rows.shape[0]:
        problem = f"{settings.vectors} and {settings.queries} queries are more than the embedding's {rows.shape[0]}"
        raise OptionError("--vectors", problem, f"use {rows.shape[0] - settings.queries} or less")
    order = mx.random.permutation(rows.shape[0], key=mx.random.key(settings.seed))
    drawn = rows[order[: settings.vectors + settings.queries]]
    return split(drawn, settings, f"token embedding of {loaded.info.name}")


def split(points: mx.array, settings: SearchSettings, name: str) -> Vectors:
    """The points at length one; the last of them are the queries."""
    points = points / mx.linalg.norm(points, axis=-1, keepdims=True)
    indexed, queries = points[: settings.vectors], points[settings.vectors :]
    digest = hashlib.sha256(memoryview(cast("Any", mx.contiguous(points))))  # an mx.array is a buffer, untyped as such
    info = DataInfo(name, digest.hexdigest(), indexed.shape[0], queries.shape[0], points.shape[-1])
    return Vectors(indexed, queries, info)
