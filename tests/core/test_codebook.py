"""The shipped constants against three other roads to them, and rounding against brute force."""

import importlib.util
import itertools
from pathlib import Path
from types import ModuleType

import mlx.core as mx
import numpy as np
import pytest
from numpy.polynomial.polynomial import polyval
from tests.oracles import densities
from tests.oracles.scalar import distance_to_threshold, nearest

from tq_core.centroids import ODD_RATIONAL, lloyd_max_values
from tq_core.codebook import (
    LLOYD_MAX,
    ODD_POLYNOMIAL,
    UNIFORM_STEP,
    lloyd_max,
    nearest_lloyd_max,
    nearest_uniform,
    positive_thresholds,
    round_to_lloyd_max,
    round_to_uniform,
)

WIDTHS = range(1, 9)
LLOYD_MAX_ERROR = {1: 0.36338, 2: 0.11748, 3: 0.034548, 4: 0.0095010, 5: 0.0025047}
UNIFORM_ERROR = {1: 0.36338023, 2: 0.11884605, 3: 0.03743966, 4: 0.01154288, 5: 0.00349521, 6: 0.00104005}
DIGITS = 5.1e-8  # constants are written to seven places


def script_called(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_called("codebook_tables")


@pytest.fixture(scope="module")
def normal_samples() -> np.ndarray:
    """Gaussian samples, and some far outside every codebook."""
    x = np.random.default_rng(0).standard_normal(4000)
    return np.concatenate([x, 3 * x[:200], [-1e6, -40.0, -1e-30, 0.0, 1e-30, 40.0, 1e6]]).astype(np.float32)


# The constants.


@pytest.mark.parametrize("bits", range(1, 6))  # the wider take seconds each; the oracle reaches them all
def test_script_recomputes_centroids(script: ModuleType, bits: int) -> None:
    np.testing.assert_allclose(LLOYD_MAX[bits], script.lloyd_max(bits), rtol=0, atol=DIGITS)


@pytest.mark.parametrize("bits", WIDTHS)
def test_script_recomputes_steps(script: ModuleType, bits: int) -> None:
    assert UNIFORM_STEP[bits] == pytest.approx(script.uniform_step(bits), abs=1.5e-7)  # a flat minimum


@pytest.mark.parametrize("bits", ODD_POLYNOMIAL)
def test_script_recomputes_odd_polynomials(script: ModuleType, bits: int) -> None:
    np.testing.assert_allclose(ODD_POLYNOMIAL[bits], script.odd_polynomial(script.lloyd_max(bits)), rtol=0, atol=1e-7)


@pytest.mark.parametrize("bits", ODD_RATIONAL)
def test_script_recomputes_odd_rationals(bits: int) -> None:
    """To the digits that matter: the fit is flat, so what is compared is the function."""
    script = script_called("rational_tables")
    left = np.linspace(0, 2 ** (bits - 1) - 1, 1000)
    shipped, computed = (
        polyval(left, above) / polyval(left, below)
        for above, below in (ODD_RATIONAL[bits], script.rational(LLOYD_MAX[bits], *script.DEGREES[bits]))
    )
    np.testing.assert_allclose(shipped, computed, rtol=1e-6)


@pytest.mark.parametrize("bits", WIDTHS)
def test_centroids_are_the_fixed_point_of_lloyd_s_iteration(bits: int) -> None:
    np.testing.assert_allclose(np.array(lloyd_max(bits)), densities.lloyd_max(bits), rtol=1.3e-7, atol=DIGITS)


@pytest.mark.parametrize("bits", WIDTHS)
def test_optimality_conditions_by_quadrature(bits: int) -> None:
    """Each threshold is halfway between its centroids by construction; each centroid must be the mean of its cell."""
    positive = LLOYD_MAX[bits]
    edges = [0.0, *positive_thresholds(bits), densities.FAR]
    for c, a, b in zip(positive, edges[:-1], edges[1:], strict=True):
        mass = densities.integral(densities.normal, a, b)
        mean = densities.integral(lambda t: t * densities.normal(t), a, b) / mass
        assert c == pytest.approx(mean, abs=2e-7)


@pytest.mark.parametrize("bits", WIDTHS)
def test_shape_of_the_tables(bits: int) -> None:
    centroids = lloyd_max(bits)
    assert (centroids.dtype, centroids.shape) == (mx.float32, (2**bits,))
    values = np.array(centroids)
    assert (np.diff(values) > 0).all()
    np.testing.assert_array_equal(values, -values[::-1])
    half = 2 ** (bits - 1)
    expected = (values[half:-1].astype(np.float64) + values[half + 1 :]) / 2
    np.testing.assert_allclose(positive_thresholds(bits), expected, atol=1e-6)


@pytest.mark.parametrize(("bits", "error"), LLOYD_MAX_ERROR.items())
def test_error_of_lloyd_max(bits: int, error: float) -> None:
    assert densities.distortion(shipped(bits), densities.normal) == pytest.approx(error, rel=1e-4)


def shipped(bits: int) -> np.ndarray:
    return np.array([*(-c for c in reversed(LLOYD_MAX[bits])), *LLOYD_MAX[bits]])


@pytest.mark.parametrize("bits", WIDTHS)
def test_error_lies_between_the_paper_s_bounds(bits: int) -> None:
    """No quantizer errs less than 4^−b, and this one √3π/2 times that at most; at 1 bit it is 1.4535 times."""
    times_the_least = densities.distortion(shipped(bits), densities.normal) * 4**bits
    assert 1 < times_the_least < np.sqrt(3) * np.pi / 2
    if bits == 1:
        assert times_the_least == pytest.approx(1.4535, rel=1e-4)
    if bits == 8:
        assert times_the_least > 0.99 * np.sqrt(3) * np.pi / 2  # the upper bound is what it tends to


def test_what_entropy_coding_would_save() -> None:
    """4-bit codes hold 3.765 bits; no width would save more than 6 %."""
    for bits in WIDTHS:
        levels = shipped(bits)
        edges = [-densities.FAR, *((levels[1:] + levels[:-1]) / 2), densities.FAR]
        masses = [densities.integral(densities.normal, a, b) for a, b in itertools.pairwise(edges)]
        entropy = -sum(mass * np.log2(mass) for mass in masses)
        assert 0.94 * bits < entropy < bits + 1e-9
        if bits == 4:
            assert entropy == pytest.approx(3.765, abs=0.001)


@pytest.mark.parametrize(("bits", "error"), UNIFORM_ERROR.items())
def test_error_of_the_even_grid(bits: int, error: float, script: ModuleType) -> None:
    grid = densities.uniform(bits, UNIFORM_STEP[bits])
    assert densities.distortion(grid, densities.normal) == pytest.approx(error, rel=1e-6, abs=6e-9)
    assert script.uniform_distortion(UNIFORM_STEP[bits], bits) == pytest.approx(error, rel=1e-6, abs=6e-9)


@pytest.mark.parametrize("bits", WIDTHS)
def test_steps_are_optimal(bits: int) -> None:
    """The derivative of D_mse by the step changes its sign within the digits shown."""

    def slope(step: float) -> float:
        """−2 E (t − level)·(level/step): what a wider step would change."""
        grid = densities.uniform(bits, step)
        edges = [-densities.FAR, *((grid[1:] + grid[:-1]) / 2), densities.FAR]
        return -2 * sum(
            densities.integral(lambda t, c=c: (t - c) * (c / step) * densities.normal(t), a, b)
            for c, a, b in zip(grid, edges[:-1], edges[1:], strict=True)
        )

    step = UNIFORM_STEP[bits]
    assert slope(step - 1e-7) < 0 < slope(step + 1e-7)


def test_one_bit_is_the_same_codebook_both_ways() -> None:
    assert UNIFORM_STEP[1] / 2 == pytest.approx(LLOYD_MAX[1][0], abs=DIGITS)


# Rounding.


def assert_nearest(codes: mx.array, x: np.ndarray, levels: np.ndarray) -> None:
    """Equal to the brute-force code, but for elements within float32's reach of a threshold: there, the next one."""
    assert codes.dtype == mx.uint32
    expected, found = nearest(x.astype(np.float64), levels), np.array(codes).astype(np.int64)
    wrong = expected != found
    assert wrong.mean() < 0.003
    assert (np.abs(expected - found) <= 1).all()
    assert (distance_to_threshold(x.astype(np.float64), levels)[wrong] < 1e-6).all()


@pytest.mark.parametrize("bits", WIDTHS)
def test_nearest_centroid(bits: int, normal_samples: np.ndarray) -> None:
    assert_nearest(nearest_lloyd_max(mx.array(normal_samples), bits), normal_samples, densities.lloyd_max(bits))


@pytest.mark.parametrize("bits", WIDTHS)
def test_nearest_grid_point(bits: int, normal_samples: np.ndarray) -> None:
    grid = densities.uniform(bits, UNIFORM_STEP[bits])
    assert_nearest(nearest_uniform(mx.array(normal_samples), bits), normal_samples, grid)


@pytest.mark.parametrize("bits", WIDTHS)
def test_rounding_yields_the_centroid_of_the_code(bits: int, normal_samples: np.ndarray) -> None:
    x = mx.array(normal_samples)
    by_code = np.array(mx.take(lloyd_max(bits), nearest_lloyd_max(x, bits)))
    np.testing.assert_allclose(np.array(round_to_lloyd_max(x, bits)), by_code, rtol=0, atol=2e-6)


@pytest.mark.parametrize("bits", WIDTHS)
def test_rounding_yields_the_grid_point_of_the_code(bits: int, normal_samples: np.ndarray) -> None:
    """But for elements on a threshold, where either neighbour is as near."""
    x, grid = mx.array(normal_samples), densities.uniform(bits, UNIFORM_STEP[bits])
    by_code = grid[np.array(nearest_uniform(x, bits))]
    rounded = np.array(round_to_uniform(x, bits))
    wrong = np.abs(rounded - by_code) > 1e-5
    assert (np.abs(rounded - by_code) <= UNIFORM_STEP[bits] * 1.0001).all()
    assert (distance_to_threshold(normal_samples.astype(np.float64), grid)[wrong] < 1e-6).all()
    assert wrong.mean() < 0.003


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("round_to", [round_to_lloyd_max, round_to_uniform])
def test_rounding_keeps_shape_and_signs(round_to: object, bits: int) -> None:
    x = mx.array(np.random.default_rng(bits).standard_normal((3, 2, 50)).astype(np.float32))
    up, down = round_to(x, bits), round_to(-x, bits)
    assert (up.shape, up.dtype) == (x.shape, mx.float32)
    np.testing.assert_allclose(np.array(up), -np.array(down), atol=1e-6)
    assert (np.sign(np.array(up)) == np.sign(np.array(x))).all()


@pytest.mark.parametrize("bits", WIDTHS)
def test_every_code_is_used(bits: int) -> None:
    levels = densities.lloyd_max(bits).astype(np.float32)
    assert nearest_lloyd_max(mx.array(levels), bits).tolist() == list(range(2**bits))
    grid = densities.uniform(bits, UNIFORM_STEP[bits]).astype(np.float32)
    assert nearest_uniform(mx.array(grid), bits).tolist() == list(range(2**bits))


@pytest.mark.parametrize("bits", WIDTHS)
def test_values_of_codes_are_the_centroids(bits: int) -> None:
    """By the odd polynomial or the rational function, in any shape."""
    codes = np.arange(2**bits).reshape(2, -1).repeat(3, axis=0)
    values = lloyd_max_values(mx.array(codes, dtype=mx.uint32), bits)
    assert values.dtype == mx.float32
    np.testing.assert_allclose(np.array(values), densities.lloyd_max(bits)[codes], rtol=0, atol=1e-6)
