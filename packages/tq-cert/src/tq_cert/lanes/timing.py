"""Repeated timings of one thing, as values."""

from typing import Self

import msgspec

from tq_cert.lanes.quality.statistics import quantile


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Repeated timings of one thing, in seconds.

    Attributes:
        median: of the timings.
        low: the value below which a quarter of them lies.
        high: the value below which three quarters of them lie.
        samples: all of them, in the order in which they were taken.
    """

    median: float
    low: float
    high: float
    samples: tuple[float, ...]

    @classmethod
    def of(cls, samples: list[float]) -> Self:
        """Sum the samples up."""
        return cls(quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75), tuple(samples))


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Repeated timings of one thing, in seconds.

    Attributes:
        clock: from the call to the result.
        processor: of all threads of the process; other work on the machine moves it less.
    """

    clock: Timing
    processor: Timing


def spread_of(timing: Timing) -> str:
    """Half the distance between the quartiles, in percent of the median."""
    return f"{(timing.high - timing.low) / 2 / timing.median:.0%}"
