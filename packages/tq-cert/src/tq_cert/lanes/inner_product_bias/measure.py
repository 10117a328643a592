"""Estimated inner products against true ones, through each codec's own scores over packed codes."""

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.lanes.codecs import codec_of
from tq_cert.lanes.forms import Candidate, candidates
from tq_cert.lanes.inner_product_bias.record import Bias, BiasRow, Estimate
from tq_cert.lanes.inner_product_bias.settings import BiasSettings
from tq_cert.lanes.inner_product_bias.theory import theory_of
from tq_cert.progress import Progress


def bias_rows(settings: BiasSettings, progress: Progress) -> tuple[BiasRow, ...]:
    """Measure every codec at every dimension."""
    compared = candidates(settings.codecs, settings.bits)
    rows: list[BiasRow] = []
    progress.phase("codecs", len(compared) * len(settings.head_dims))
    for head_dim in settings.head_dims:
        for candidate in compared:
            rows.append(measure(candidate, head_dim, settings))
            progress.reach(len(rows))
    return tuple(rows)


def measure(candidate: Candidate, head_dim: int, settings: BiasSettings) -> BiasRow:
    """One codec at one dimension: for every seed another rotation, another sketch, other vectors and queries."""
    by_seed = [errors(candidate, head_dim, settings, seed) for seed in range(settings.seeds)]
    weight = sum(cosine * cosine for cosine in settings.cosines)
    slopes = [sum(c * e for c, e in zip(settings.cosines, means, strict=True)) / weight for means, _ in by_seed]
    return BiasRow(
        candidate=candidate,
        head_dim=head_dim,
        stored_bits=codec_of(candidate).bits_per_value(head_dim),
        slope_error=Estimate.of(slopes),
        biases=tuple(
            Bias(cosine, Estimate.of([means[index] for means, _ in by_seed]))
            for index, cosine in enumerate(settings.cosines)
        ),
        error_times_dim=Estimate.of([head_dim * square for _, square in by_seed]),
        theory=theory_of(candidate),
    )


def errors(candidate: Candidate, head_dim: int, settings: BiasSettings, seed: int) -> tuple[list[float], float]:
    """The mean error at every cosine, and the mean squared error of independent queries."""
    codec = codec_of(candidate, seed)
    of_vectors, of_queries = mx.random.split(mx.random.key(seed))
    x = unit(mx.random.normal((settings.vectors, 1, head_dim), key=of_vectors))
    free = unit(mx.random.normal((settings.vectors, settings.queries, head_dim), key=of_queries))
    across = unit(free - (free @ x.swapaxes(-1, -2)) * x)
    queries = [cosine * x + (1 - cosine**2) ** 0.5 * across for cosine in settings.cosines]
    q = mx.concatenate([free, *queries], axis=-2)
    # One vector per head, so that each meets the queries that were drawn for it, and no other.
    error = codec.scores(q, codec.encode(x)) - q @ x.swapaxes(-1, -2)
    free_error, *at_cosines = mx.split(error[..., 0], 1 + len(settings.cosines), axis=-1)
    return [float(each.mean()) for each in at_cosines], float((free_error**2).mean())


def unit(x: mx.array) -> mx.array:
    """The vectors at length one."""
    return x / mx.linalg.norm(x, axis=-1, keepdims=True)
