"""The records of a quality report."""

from collections.abc import Sequence
from typing import Any, Self

import msgspec

from tq_cert.lanes.envelope import Envelope
from tq_cert.lanes.quality.settings import QualitySettings
from tq_cert.lanes.quality.statistics import mean


class StoredBits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stored bits per value at the end of a window, everything included, growth capacity excluded.

    Attributes:
        model16: with the model's own floats (dense tokens, mlx-lm's scales and biases) counted at 16 bits each,
            as a 16-bit model would store them; what methods are compared by.
        as_run: counted as they were in this run; more than `model16` on a float32 model.
    """

    model16: float
    as_run: float

    @classmethod
    def mean_of(cls, measured: Sequence[Self]) -> Self:
        """The mean of several."""
        return cls(mean([one.model16 for one in measured]), mean([one.as_run for one in measured]))


class WindowMeasurement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One method on one window, summed or averaged over its positions.

    Attributes:
        method: its name.
        window: index, from 0.
        positions: tokens of the window; each has a KL divergence and a top token.
        targets: positions whose next token is in the window too.
        kl: mean KL(dense ‖ method) in nats.
        flips: positions at which the most likely token differs.
        nll: negative log-likelihood of the targets, summed, in nats.
        dense_nll: the same in the dense run.
        stored_bits: at the window's end.
        compressed_layers: layers that hold codes.
        layers: in all.
        seconds: in the model, without the comparison.
        kl_positions: KL at each position, to six digits; left out of a report unless asked for.
        kl_buckets: mean KL in each position bucket.
    """

    method: str
    window: int
    positions: int
    targets: int
    kl: float
    flips: int
    nll: float
    dense_nll: float
    stored_bits: StoredBits
    compressed_layers: int
    layers: int
    seconds: float
    kl_buckets: tuple[float, ...]
    kl_positions: tuple[float, ...] | None = None


class KlSummary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """KL divergence over all windows.

    Attributes:
        mean: of all positions, in nats.
        interval: 95 % confidence interval of the mean (Student's t over window means); None for one window.
        p50: median over positions.
        p99: 99th percentile over positions.
        p999: 99.9th percentile over positions.
        largest: over positions.
    """

    mean: float
    interval: tuple[float, float] | None
    p50: float
    p99: float
    p999: float
    largest: float


class Bucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mean KL of the positions from `start` up to, without, `stop`."""

    start: int
    stop: int
    kl: float


class QualityRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One method over all windows.

    Attributes:
        method: its name.
        parameters: what the name stands for, before the mode changed it; None for the dense run.
        stored_bits: mean over windows.
        compressed_layers: layers that hold codes.
        layers: in all.
        kl: against the dense run.
        flip_rate: share of positions at which the most likely token differs.
        perplexity: of the text.
        perplexity_change: relative to the dense run's.
        buckets: KL by position.
        seconds: in the model, over all windows.
        windows: what all of this was computed from.
    """

    method: str
    parameters: dict[str, Any] | None
    stored_bits: StoredBits
    compressed_layers: int
    layers: int
    kl: KlSummary
    flip_rate: float
    perplexity: float
    perplexity_change: float
    buckets: tuple[Bucket, ...]
    seconds: float
    windows: tuple[WindowMeasurement, ...]


QualityReport = Envelope[QualitySettings, QualityRow]
