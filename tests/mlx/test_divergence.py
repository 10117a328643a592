"""KL, log-likelihood and flips of one chunk, against NumPy in float64."""

import mlx.core as mx
import numpy as np
import pytest

from tq_mlx.divergence import Expected, compare, row_sums

ROWS = 40


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def draw(vocabulary: int, noise: float, seed: int = 3) -> tuple[np.ndarray, np.ndarray, list[int]]:
    random = np.random.default_rng(seed)
    dense = (3 * random.standard_normal((ROWS, vocabulary))).astype(np.float32)
    other = (dense + noise * random.standard_normal(dense.shape)).astype(np.float32)
    return dense, other, random.integers(0, vocabulary, ROWS - 1).tolist()


@pytest.mark.parametrize("vocabulary", [7, 512, 1000, 49152, 50257])
@pytest.mark.parametrize("noise", [1e-3, 0.05, 1.0, 6.0])
def test_agrees_with_float64(vocabulary: int, noise: float) -> None:
    dense, other, targets = draw(vocabulary, noise)
    p, q = log_softmax(dense), log_softmax(other)
    kl = (np.exp(p) * (p - q)).sum(axis=-1)
    result = compare(Expected.of(mx.array(dense), targets), mx.array(other))
    assert np.asarray(result.kl) == pytest.approx(kl, rel=2e-3, abs=2e-9)
    rows = np.arange(ROWS - 1)
    assert result.dense_nll == pytest.approx(-p[rows, targets].sum(), rel=1e-5)
    assert result.nll == pytest.approx(-q[rows, targets].sum(), rel=1e-5)
    assert result.flips == (dense.argmax(axis=-1) != other.argmax(axis=-1)).sum()


def test_resolves_what_a_difference_of_logarithms_cannot() -> None:
    dense, other, targets = draw(49152, 1e-4)
    p, q = log_softmax(dense), log_softmax(other)
    kl = (np.exp(p) * (p - q)).sum(axis=-1)
    assert kl.max() < 1e-7
    result = compare(Expected.of(mx.array(dense), targets), mx.array(other))
    assert np.asarray(result.kl) == pytest.approx(kl, rel=0.02)


def test_equal_logits_give_exactly_zero() -> None:
    dense, _, targets = draw(1000, 0.0)
    result = compare(Expected.of(mx.array(dense), targets), mx.array(dense))
    assert result.kl == [0.0] * ROWS
    assert result.flips == 0
    assert result.nll == result.dense_nll


def test_a_shift_of_all_logits_changes_nothing() -> None:
    dense, other, targets = draw(1000, 0.3)
    expected = Expected.of(mx.array(dense), targets)
    plain, shifted = compare(expected, mx.array(other)), compare(expected, mx.array(other + 16))
    assert shifted.kl == pytest.approx(plain.kl, rel=1e-3)
    assert shifted.nll == pytest.approx(plain.nll, rel=1e-5)


def test_logits_far_apart_overflow_nothing() -> None:
    dense, other = np.zeros((2, 600), np.float32), np.zeros((2, 600), np.float32)
    dense[:, 0], other[:, 1] = 90.0, 300.0
    kl = (np.exp(log_softmax(dense)) * (log_softmax(dense) - log_softmax(other))).sum(axis=-1)
    result = compare(Expected.of(mx.array(dense), [0]), mx.array(other))
    assert result.kl == pytest.approx(kl, rel=1e-4)


def test_bfloat16_logits() -> None:
    dense, other, targets = draw(1000, 0.3)
    dense16, other16 = mx.array(dense).astype(mx.bfloat16), mx.array(other).astype(mx.bfloat16)
    exact = [np.array(x.astype(mx.float32)) for x in (dense16, other16)]
    p, q = map(log_softmax, exact)
    result = compare(Expected.of(dense16, targets), other16)
    assert result.kl == pytest.approx((np.exp(p) * (p - q)).sum(axis=-1), rel=1e-3)


def test_nan_shows() -> None:
    dense, other, targets = draw(600, 0.1)
    other[5, 3] = np.nan
    result = compare(Expected.of(mx.array(dense), targets), mx.array(other))
    assert [not np.isfinite(value) for value in result.kl] == [row == 5 for row in range(ROWS)]


def test_long_sums_keep_their_digits() -> None:
    x = np.random.default_rng(1).random((3, 262144 + 77), dtype=np.float32)
    assert np.array(row_sums(mx.array(x)))[:, 0] == pytest.approx(x.astype(np.float64).sum(axis=-1), rel=2e-6)
