"""Step functions against NumPy's own search, on and around every threshold."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core.codebook import LLOYD_MAX, positive_thresholds
from tq_core.step_function import MOST_SELECTED, look_up, select, step_function

FORMS = [select, look_up, step_function]


def assert_steps(form, thresholds: list[float], x: np.ndarray) -> None:
    """Equal, bit for bit, to the level that NumPy finds for x between the thresholds as float32."""
    levels = np.arange(len(thresholds) + 1, dtype=np.float32) * 3 + 1
    edges = np.array(thresholds, dtype=np.float32)
    expected = levels[np.searchsorted(edges, x)]  # the left side: thresholds strictly below
    found = form(mx.array(x), tuple(thresholds), tuple(levels.tolist()))
    assert found.dtype == mx.float32
    np.testing.assert_array_equal(np.array(found), expected)


def around(thresholds: list[float]) -> np.ndarray:
    """Every threshold, its two neighbours in float32, zero, and numbers far beyond."""
    edges = np.array(thresholds, dtype=np.float32)
    near = [edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(np.inf))]
    return np.concatenate([*near, np.array([0, 1e-30, 100, 1e30, np.inf], dtype=np.float32)])


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("form", FORMS)
def test_thresholds_of_the_codebooks(form, bits: int) -> None:
    thresholds = list(positive_thresholds(bits))
    assert len(thresholds) == len(LLOYD_MAX[bits]) - 1
    normal = np.abs(np.random.default_rng(bits).standard_normal(20_000)).astype(np.float32)
    assert_steps(form, thresholds, np.concatenate([normal, around(thresholds)]))


@given(
    st.lists(st.floats(0.05, 2.0), min_size=2, max_size=40),
    st.lists(st.floats(0, 100, width=32), max_size=20),
    st.sampled_from(FORMS),
)
def test_any_thresholds(gaps: list[float], x: list[float], form) -> None:
    thresholds = np.cumsum(gaps).tolist()
    assert_steps(form, thresholds, np.concatenate([np.array(x, dtype=np.float32), around(thresholds)]))


def test_no_threshold_and_any_shape() -> None:
    assert step_function(mx.array([0.0, 3.0]), (), (0.5,)).item() == 0.5
    many = tuple(float(t) for t in range(1, MOST_SELECTED + 3))
    for thresholds in (many[:3], many):
        levels = (0.0, *thresholds)
        assert step_function(mx.full((2, 3, 4), 2.5), thresholds, levels).tolist() == [[[2.0] * 4] * 3] * 2
        assert step_function(mx.zeros((2, 0, 4)), thresholds, levels).shape == (2, 0, 4)
