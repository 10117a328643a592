"""The records of an inner-product report."""

from collections.abc import Sequence
from typing import Self

import msgspec

from tq_cert.lanes.envelope import Envelope
from tq_cert.lanes.forms import Candidate
from tq_cert.lanes.inner_product_bias.settings import BiasSettings
from tq_cert.lanes.inner_product_bias.theory import Theory
from tq_cert.lanes.quality.statistics import mean, mean_interval


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mean over seeds.

    Attributes:
        mean: of the samples.
        interval: Student's, 95 %.
        samples: one per seed.
    """

    mean: float
    interval: tuple[float, float] | None
    samples: tuple[float, ...]

    @classmethod
    def of(cls, samples: Sequence[float]) -> Self:
        """Sum the samples up."""
        return cls(mean(samples), mean_interval(samples), tuple(samples))


class Bias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mean error of the estimates at one cosine between query and vector."""

    cosine: float
    error: Estimate


class BiasRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One codec at one dimension; vectors and queries have length one.

    Attributes:
        candidate: the codec.
        head_dim: D.
        stored_bits: per value, everything included.
        slope_error: least-squares slope of the mean estimates over the cosines, less one: the multiplicative bias.
        biases: by cosine.
        error_times_dim: D · E(estimate - truth)² for queries that are independent of the vectors: the variance, where
            there is no bias.
        theory: what is expected for large D, or None where no formula is known.
    """

    candidate: Candidate
    head_dim: int
    stored_bits: float
    slope_error: Estimate
    biases: tuple[Bias, ...]
    error_times_dim: Estimate
    theory: Theory | None


BiasReport = Envelope[BiasSettings, BiasRow]
