"""Means, quantiles, intervals and buckets, against NumPy and against tables of Student's distribution."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_cert.lanes.quality.statistics import (
    BUCKET,
    MOST_BUCKETS,
    bucket_edges,
    mean,
    mean_interval,
    quantile,
    student_quantile,
    student_share,
)

SAMPLES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(SAMPLES, st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_quantile_is_numpys(values: list[float], share: float) -> None:
    assert quantile(values, share) == pytest.approx(np.quantile(values, share), rel=1e-9, abs=1e-6)


@given(SAMPLES)
def test_mean_is_numpys(values: list[float]) -> None:
    assert mean(values) == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)


# Two-sided 95 % points of Student's t, from any table.
TABLE = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 7: 2.3646, 8: 2.3060, 15: 2.1314, 30: 2.0423, 120: 1.9799}


@pytest.mark.parametrize("freedom", TABLE)
def test_student_quantile_is_the_tables(freedom: int) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(TABLE[freedom], abs=5e-5)


@pytest.mark.parametrize("freedom", [1, 2, 5, 6, 11])
def test_student_share_is_the_integral_of_the_density(freedom: int) -> None:
    t = np.linspace(0, 2.5, 20001)
    factor = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    inside = np.trapezoid(factor * (1 + t * t / freedom) ** (-(freedom + 1) / 2), t)
    assert student_share(2.5, freedom) == pytest.approx(0.5 + inside, abs=1e-8)


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    intervals = [mean_interval(random.normal(3.0, 2.0, 6).tolist()) for _ in range(2000)]
    covered = sum(low <= 3.0 <= high for low, high in intervals)
    assert 0.935 < covered / len(intervals) < 0.965


def test_interval_is_the_textbooks() -> None:
    values = [0.11, 0.14, 0.09, 0.12, 0.16]
    low, high = mean_interval(values)
    reach = 2.7764 * np.std(values, ddof=1) / math.sqrt(5)
    assert (low, high) == pytest.approx((np.mean(values) - reach, np.mean(values) + reach), rel=1e-4)


def test_one_window_has_no_interval() -> None:
    assert mean_interval([0.5]) is None
    assert mean_interval([0.5, 0.5]) == (0.5, 0.5)


@given(st.integers(1, 100_000))
def test_buckets_cover_every_position_once(positions: int) -> None:
    edges = bucket_edges(positions)
    widths = np.diff(edges)
    assert (edges[0], edges[-1]) == (0, positions)
    assert (widths > 0).all()
    assert len(widths) <= MOST_BUCKETS
    assert all(width % BUCKET == 0 for width in widths[:-1])


def test_buckets_of_a_usual_window() -> None:
    assert bucket_edges(1024) == tuple(range(0, 1025, 128))
