"""Compute the constants of tq_core.polar_codebook from first principles and print them.

Behind a rotation, the angle of level ℓ ≥ 2 of the polar transform has a density proportional to sin^m(2ψ) on [0, π/2],
m = 2^(ℓ−1) − 1. It is symmetric about π/4 and log-concave, so its Lloyd–Max codebook is symmetric and unique, and
alternating the two conditions (thresholds halfway, centroids at the means of their cells) finds it from any start.

    uv run scripts/polar_tables.py
"""

from bisect import bisect_left
from itertools import accumulate, pairwise
from math import cos, pi

LEVELS = range(2, 11)
WIDTHS = range(1, 6)
STEPS = 20_000


class Offset:
    """The distance of an angle of one level from π/4: its distribution and mean, tabulated by the trapezoid rule."""

    def __init__(self, level: int) -> None:
        power = 2 ** (level - 1) - 1
        self.end = pi / 4
        self.step = self.end / STEPS
        at = [i * self.step for i in range(STEPS + 1)]
        density = [cos(2 * x) ** power if i < STEPS else 0.0 for i, x in enumerate(at)]
        moment = [x * p for x, p in zip(at, density, strict=True)]
        self.below, self.moment_below = (
            list(accumulate((self.step * (a + b) / 2 for a, b in pairwise(f)), initial=0.0)) for f in (density, moment)
        )

    def quantile(self, share: float) -> float:
        return bisect_left(self.below, share * self.below[-1]) * self.step

    def cell_mean(self, low: float, high: float) -> float:
        return self.between(self.moment_below, low, high) / self.between(self.below, low, high)

    def between(self, integral: list[float], low: float, high: float) -> float:
        return self.at(integral, high) - self.at(integral, low)

    def at(self, integral: list[float], x: float) -> float:
        i = min(int(x / self.step), STEPS - 1)
        return integral[i] + (x / self.step - i) * (integral[i + 1] - integral[i])


def positive_offsets(offset: Offset, bits: int) -> list[float]:
    """Return the centroids' positive distances from π/4, ascending."""
    count = 2 ** (bits - 1)
    centroids = [offset.quantile((k + 0.5) / count) for k in range(count)]
    while True:
        edges = [0.0, *((a + b) / 2 for a, b in pairwise(centroids)), offset.end]
        means = [offset.cell_mean(low, high) for low, high in pairwise(edges)]
        moved = max(abs(a - b) for a, b in zip(means, centroids, strict=True))
        centroids = means
        if moved < 1e-11:
            return centroids


if __name__ == "__main__":
    print("OFFSETS = {")
    for level in LEVELS:
        print(f"    {level}: {{")
        offset = Offset(level)
        for bits in WIDTHS:
            print(f"        {bits}: (" + ", ".join(f"{x:.7f}" for x in positive_offsets(offset, bits)) + ",),")
        print("    },")
    print("}")
