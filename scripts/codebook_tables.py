"""Compute the constants of tq_core.codebook from first principles and print them.

Lloyd–Max codebooks of N(0, 1) (Lloyd 1982, Max 1960) by shooting: the smallest positive centroid determines all
others, since each threshold is halfway between its centroids and each centroid is the mean of its cell; bisection
finds the start for which the last, unbounded cell agrees. The best evenly spaced grid by golden-section search.

    uv run scripts/codebook_tables.py
"""

from collections.abc import Callable
from math import erf, exp, inf, pi, sqrt


def density(x: float) -> float:
    return 0.0 if x == inf else exp(-x * x / 2) / sqrt(2 * pi)


def probability(a: float, b: float) -> float:
    return (erf(b / sqrt(2)) - erf(a / sqrt(2))) / 2


def cell_mean(a: float, b: float) -> float:
    """Return E[X | a < X < b] for X ~ N(0, 1)."""
    if b == inf and a > 5:  # erf has lost its digits; the asymptotic series has not
        return a + 1 / a - 2 / a**3 + 10 / a**5
    return (density(a) - density(b)) / probability(a, b)


def bisect(f: Callable[[float], float], low: float, high: float) -> float:
    """Return the root of an increasing function between ``low`` and ``high``."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return (low + high) / 2


def chain(first: float, count: int) -> tuple[list[float], float]:
    """Follow the two conditions from ``first``; return the centroids and how far the last one overshoots its cell."""
    centroids, low = [first], 0.0
    for _ in range(count - 1):
        c = centroids[-1]
        if cell_mean(low, low + 10) <= c:  # no cell starting here has so large a mean: the start was too large
            return centroids, inf
        high = bisect(lambda t, low=low, c=c: cell_mean(low, t) - c, low + 1e-12, low + 10)
        centroids.append(2 * high - c)
        low = high
    return centroids, centroids[-1] - cell_mean(low, inf)


def lloyd_max(bits: int) -> list[float]:
    """Return the positive centroids, ascending."""
    count = 2 ** (bits - 1)
    first = bisect(lambda c: chain(c, count)[1], 1e-6, 0.8)
    return chain(first, count)[0]


def uniform_distortion(step: float, bits: int) -> float:
    count, error = 2 ** (bits - 1), 0.0
    for k in range(count):
        c, a, b = (k + 0.5) * step, k * step, inf if k == count - 1 else (k + 1) * step
        p = probability(a, b)
        b_density = 0.0 if b == inf else b * density(b)
        second = p + a * density(a) - b_density
        error += second - 2 * c * (density(a) - density(b)) + c * c * p
    return 2 * error


def uniform_step(bits: int) -> float:
    low, high, golden = 0.005, 2.5, (sqrt(5) - 1) / 2
    for _ in range(120):
        a, b = high - golden * (high - low), low + golden * (high - low)
        if uniform_distortion(a, bits) < uniform_distortion(b, bits):
            high = b
        else:
            low = a
    return (low + high) / 2


def odd_polynomial(positive: list[float]) -> list[float]:
    """Return the coefficients of t, t³, … of the odd polynomial through all centroids, by divided differences."""
    count = len(positive)
    points = [((k + 0.5) / (count - 0.5)) ** 2 for k in range(count)]
    table = [c / sqrt(x) for c, x in zip(positive, points, strict=True)]
    for order in range(1, count):
        for k in reversed(range(order, count)):
            table[k] = (table[k] - table[k - 1]) / (points[k] - points[k - order])
    coefficients = [table[-1]]
    for k in reversed(range(count - 1)):  # multiply by (x − x_k) and add the next difference
        shifted = [0.0, *coefficients]
        coefficients = [s - points[k] * c for s, c in zip(shifted, [*coefficients, 0.0], strict=True)]
        coefficients[0] += table[k]
    return coefficients


if __name__ == "__main__":
    print("LLOYD_MAX = {")
    for bits in range(1, 9):
        print(f"    {bits}: (" + ", ".join(f"{c:.7f}" for c in lloyd_max(bits)) + ",),")
    print("}\nODD_POLYNOMIAL = {")
    for bits in range(1, 5):
        print(f"    {bits}: (" + ", ".join(f"{c:.8f}" for c in odd_polynomial(lloyd_max(bits))) + ",),")
    print("}\nUNIFORM_STEP = {")
    for bits in range(1, 9):
        print(f"    {bits}: {uniform_step(bits):.7f},  # D_mse {uniform_distortion(uniform_step(bits), bits):.8f}")
    print("}")
