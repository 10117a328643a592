"""From the measurements of a method's windows to its row in the report; needs no MLX."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from tq_cert.lanes.quality.record import Bucket, KlSummary, QualityRow, StoredBits, WindowMeasurement
from tq_cert.lanes.quality.statistics import bucket_edges, mean, mean_interval, quantile


def summarize(
    parameters: Mapping[str, Any] | None, windows: Sequence[WindowMeasurement], *, keep_positions: bool
) -> QualityRow:
    """The row of one method, from at least one window with its KL at each position."""
    first = windows[0]
    positions = [value for window in windows for value in window.kl_positions or ()]
    targets = sum(window.targets for window in windows)
    nll, dense_nll = (math.fsum(getattr(window, name) for window in windows) for name in ("nll", "dense_nll"))
    edges = bucket_edges(first.positions)
    return QualityRow(
        method=first.method,
        parameters=None if parameters is None else dict(parameters),
        stored_bits=StoredBits.mean_of([window.stored_bits for window in windows]),
        compressed_layers=first.compressed_layers,
        layers=first.layers,
        kl=kl_summary([window.kl for window in windows], positions),
        flip_rate=sum(window.flips for window in windows) / sum(window.positions for window in windows),
        perplexity=math.exp(nll / targets),
        perplexity_change=math.expm1((nll - dense_nll) / targets),
        buckets=tuple(
            Bucket(start, stop, mean([window.kl_buckets[index] for window in windows]))
            for index, (start, stop) in enumerate(pairwise(edges))
        ),
        seconds=round(math.fsum(window.seconds for window in windows), 3),
        windows=tuple(window if keep_positions else without_positions(window) for window in windows),
    )


def kl_summary(window_means: Sequence[float], positions: Sequence[float]) -> KlSummary:
    """The summary of equally long windows' means and of all their positions."""
    return KlSummary(
        mean=mean(window_means),
        interval=mean_interval(window_means),
        p50=quantile(positions, 0.5),
        p99=quantile(positions, 0.99),
        p999=quantile(positions, 0.999),
        largest=max(positions),
    )


def without_positions(window: WindowMeasurement) -> WindowMeasurement:
    """The measurement without its longest field."""
    return msgspec.structs.replace(window, kl_positions=None)
