"""Raw series to the value of one metric, or why there is none."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from tq_cert.evidence.metrics import Measure
from tq_cert.evidence.stage_record import Series

Pair: TypeAlias = tuple[Series, Series]


class NotMeasurableError(ValueError):
    """The series give the metric no value; the message says why."""


def measured(measure: Measure, series: Iterable[Series], family: str | None, preset: str | None) -> tuple[float, int]:
    """The metric's value for one family and preset, and the number of samples that it comes from.

    Args:
        measure: how it is computed.
        series: all of a stage's.
        family: whose series are read; None in a stage without models.
        preset: whose series are read; a baseline's have none.

    Raises:
        NotMeasurableError: samples are missing, too few, not paired, or nothing but zeros.
    """
    of_family = [one for one in series if one.family == family and (one.context or 0) >= measure.context]
    ours = [one for one in of_family if one.name == measure.series and one.preset == preset]
    samples = [value for one in ours for value in one.values]
    if len(samples) < max(measure.samples, 1):
        least = f"at least {measure.samples}" + (f" at {measure.context} tokens or more" if measure.context else "")
        raise NotMeasurableError(f"{len(samples)} samples of {measure.series}, and it takes {least}")
    if measure.never_zero:
        _refuse_zeros(ours)
    if measure.baseline is None:
        return _of_samples(measure, ours, samples), len(samples)
    theirs = [one for one in of_family if one.name == measure.baseline and one.preset is None]
    return _against_baseline(measure, tuple(_pairs(ours, theirs))), len(samples)


def _refuse_zeros(series: Sequence[Series]) -> None:
    for one in series:
        if not any(one.values):
            raise NotMeasurableError(
                f"{_described(one)} is exactly zero throughout: nothing was compressed or measured"
            )


def _of_samples(measure: Measure, series: Sequence[Series], samples: Sequence[float]) -> float:
    match measure.how:
        case "sum":
            return sum(samples)
        case "mean":
            return statistics.fmean(samples)
        case "p99":
            return statistics.quantiles(samples, n=100, method="inclusive")[98]
        case "max":
            return max(samples)
        case "min":
            return min(samples)
        case "series":
            return len(series)
        case "distinct":
            return len(set(samples))
        case "ratio_of_means" | "largest_ratio":
            raise AssertionError(f"{measure.metric} is a ratio without a baseline")


def _against_baseline(measure: Measure, pairs: Sequence[Pair]) -> float:
    for one, baseline in pairs:
        if len(one.values) != len(baseline.values):
            counts = f"{len(one.values)} samples, its baseline {len(baseline.values)}"
            raise NotMeasurableError(f"{_described(one)} has {counts}")
    if measure.how == "ratio_of_means":
        return _ratio_of_means(pairs)
    for one, _ in pairs:
        if len(one.values) < measure.samples:
            raise NotMeasurableError(f"{_described(one)} has {len(one.values)} samples; it takes {measure.samples}")
    return max(_median_ratio(pair) for pair in pairs)


def _median_ratio(pair: Pair) -> float:
    """Of the ratios of samples taken in one turn: what slows some turns down slows both sides of their ratios."""
    one, baseline = pair
    return statistics.median(
        _ratio(upper, lower, pair) for upper, lower in zip(one.values, baseline.values, strict=True)
    )


def _ratio_of_means(pairs: Sequence[Pair]) -> float:
    upper = statistics.fmean(value for one, _ in pairs for value in one.values)
    lower = statistics.fmean(value for _, baseline in pairs for value in baseline.values)
    return _ratio(upper, lower, pairs[0])


def _pairs(ours: Sequence[Series], theirs: Sequence[Series]) -> Iterator[Pair]:
    """Every series with its baseline, which is in the same unit; none is left over on either side."""
    baselines = {_condition(one): one for one in theirs}
    for one in ours:
        baseline = baselines.pop(_condition(one), None)
        if baseline is None:
            raise NotMeasurableError(f"{_described(one)} has no baseline under the same conditions")
        if baseline.unit != one.unit:
            raise NotMeasurableError(f"{_described(one)} is in {one.unit}, its baseline in {baseline.unit}")
        yield one, baseline
    for one in baselines.values():
        raise NotMeasurableError(f"{_described(one)} is a baseline of nothing")


def _ratio(upper: float, lower: float, pair: Pair) -> float:
    """The ratio of what two series come to: bytes, times, divergences; above zero if they were measured."""
    for value, one in zip((upper, lower), pair, strict=True):
        if value <= 0:
            raise NotMeasurableError(f"{_described(one)} comes to {value:g}: there is no ratio")
    return upper / lower


def _condition(series: Series) -> tuple[int | None, str | None, int | None]:
    return series.context, series.prompt, series.seed


def _described(series: Series) -> str:
    parts = (
        series.family,
        series.preset,
        f"{series.context} tokens" if series.context is not None else None,
        series.prompt,
        f"seed {series.seed}" if series.seed is not None else None,
    )
    where = ", ".join(part for part in parts if part)
    return f"{series.name} ({where})" if where else series.name
