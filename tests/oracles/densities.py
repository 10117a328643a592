"""Where rotated coordinates lie, and what a codebook costs there, by Gauss–Legendre quadrature in float64."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import erfc, exp, inf, lgamma, log, pi, sqrt
from statistics import NormalDist

import numpy as np

Density = Callable[[np.ndarray], np.ndarray]

FAR = 12.0
"""N(0, 1) beyond this weighs less than 1e-32."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)


def integral(f: Density, a: float, b: float) -> float:
    half, middle = (b - a) / 2, (a + b) / 2
    return float(half * (WEIGHTS * f(middle + half * NODES)).sum())


def normal(t: np.ndarray) -> np.ndarray:
    return np.exp(-t * t / 2) / sqrt(2 * pi)


def sphere(dim: int) -> Density:
    """The density of √D times one coordinate of a uniform random unit vector (t²/D is Beta(1/2, (D − 1)/2)."""
    constant = exp(lgamma(dim / 2) - lgamma((dim - 1) / 2) - log(pi * dim) / 2)

    def density(t: np.ndarray) -> np.ndarray:
        return constant * np.maximum(1 - t * t / dim, 0.0) ** ((dim - 3) / 2)

    return density


def distortion(levels: np.ndarray, density: Density, reach: float = FAR) -> float:
    """E(t − nearest level)² over [−reach, reach] for ascending levels."""
    edges = [-reach, *((levels[1:] + levels[:-1]) / 2), reach]
    return sum(
        integral(lambda t, c=c: (t - c) ** 2 * density(t), a, b)
        for c, (a, b) in zip(levels, pairwise(edges), strict=True)
    )


def sphere_distortion(levels: np.ndarray, dim: int) -> float:
    """The D_mse of a codebook for vectors of ``dim`` coordinates whose norm is stored exactly."""
    return distortion(levels, sphere(dim), reach=sqrt(dim))


@cache
def lloyd_max(bits: int) -> np.ndarray:
    """The Lloyd–Max centroids of N(0, 1), ascending: the fixed point of Lloyd's iteration, found by Newton steps.

    Lloyd maps centroids c to the means m(c) of their cells. Newton solves c − m(c) = 0 on the positive half, where the
    derivative of m is tridiagonal; the start is the companding quantizer, whose density is the cube root of N(0, 1)'s.
    """
    count = 2 ** (bits - 1)
    wide = NormalDist(0, sqrt(3))
    c = np.array([wide.inv_cdf(0.5 + (i + 0.5) / (2 * count)) for i in range(count)])
    for _ in range(50):
        edges = [0.0, *((c[1:] + c[:-1]) / 2), inf]
        means, jacobian = np.empty(count), np.eye(count)
        for i, (a, b) in enumerate(pairwise(edges)):
            mass = (erfc(a / sqrt(2)) - erfc(b / sqrt(2))) / 2
            low, high = (exp(-t * t / 2) / sqrt(2 * pi) for t in (a, b))
            means[i] = mean = (low - high) / mass
            by_a = low * (mean - a) / mass
            by_b = high * (b - mean) / mass if b < inf else 0.0
            if i > 0:
                jacobian[i, i - 1] -= by_a / 2
                jacobian[i, i] -= by_a / 2
            if i < count - 1:
                jacobian[i, i + 1] -= by_b / 2
                jacobian[i, i] -= by_b / 2
        step = np.linalg.solve(jacobian, c - means)
        c = c - step
        if np.abs(step).max() < 1e-13:
            break
    assert (np.diff(c) > 0).all()
    assert np.abs(step).max() < 1e-12
    return np.concatenate([-c[::-1], c])


def uniform(bits: int, step: float) -> np.ndarray:
    """The evenly spaced levels, ascending."""
    return (np.arange(2**bits) - (2**bits - 1) / 2) * step
