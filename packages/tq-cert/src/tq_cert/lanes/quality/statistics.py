"""The statistics of a report, in plain Python: whoever has the per-window values can compute them again."""

import math
from collections.abc import Sequence

BUCKET = 128
"""Positions of the narrowest bucket."""

MOST_BUCKETS = 8


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean, without accumulated rounding."""
    return math.fsum(values) / len(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, interpolated linearly (NumPy's default)."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Student's confidence interval of the mean; None for fewer than two values."""
    count = len(values)
    if count < 2:
        return None
    centre = mean(values)
    variance = math.fsum((value - centre) ** 2 for value in values) / (count - 1)
    reach = student_quantile(0.5 + confidence / 2, count - 1) * math.sqrt(variance / count)
    return centre - reach, centre + reach


def student_quantile(share: float, freedom: int) -> float:
    """The t below which this share (at least one half) of Student's distribution lies."""
    low, high = 0.0, 1.0
    while student_share(high, freedom) < share:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if student_share(middle, freedom) < share else (low, middle)
    return (low + high) / 2


def student_share(t: float, freedom: int) -> float:
    """The share of Student's distribution below t ≥ 0, by its finite series (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    inside = math.sin(angle) * total
    if odd:
        inside = (angle + inside) * 2 / math.pi
    return 0.5 + inside / 2


def bucket_edges(positions: int) -> tuple[int, ...]:
    """The edges of the position buckets: multiples of 128, at most eight buckets, the last one possibly shorter."""
    width = BUCKET * math.ceil(positions / (BUCKET * MOST_BUCKETS))
    return (*range(0, positions, width), positions)
