"""Compute the constants of tq_core.centroids from the Lloyd–Max codebooks and print them.

A codebook of b bits is t · P(r)/Q(r) with t the centred index and r = 2^(b−1) − 1/2 − |t|, the places left to the
outermost centroid. Least squares of P − (c/t)·Q, weighted anew with 1/Q after each round (Sanathanan and Koerner 1963),
keeping the round with the smallest largest error.

    uv run scripts/rational_tables.py
"""

from collections.abc import Sequence

import numpy as np
from numpy.polynomial.polynomial import polyval

from tq_core.codebook import LLOYD_MAX

DEGREES = {5: (4, 4), 6: (5, 5), 7: (5, 5), 8: (6, 6)}  # bits → degrees of P and Q
ROUNDS = 80


def rational(positive: Sequence[float], above: int, below: int) -> tuple[list[float], list[float]]:
    """Return the coefficients of P and of Q, whose first is 1, for the positive centroids, ascending."""
    centroids, count = np.array(positive), len(positive)
    t = np.arange(count) + 0.5
    x = (count - 0.5 - t) / count  # scaled, so that no power dwarfs another
    target, weight = centroids / t, t.copy()
    p_columns = x[:, None] ** np.arange(above + 1)
    q_columns = -target[:, None] * x[:, None] ** np.arange(1, below + 1)
    best, least = (np.zeros(above + 1), np.ones(below + 1)), np.inf
    for _ in range(ROUNDS):
        columns = np.concatenate([p_columns, q_columns], axis=1) * weight[:, None]
        size = np.abs(columns).max(axis=0)
        solved = np.linalg.lstsq(columns / size, target * weight, rcond=1e-16)[0] / size
        p, q = solved[: above + 1], np.concatenate([[1.0], solved[above + 1 :]])
        error = np.abs(t * polyval(x, p) / polyval(x, q) - centroids).max()
        if polyval(np.linspace(0, 1, 1000), q).min() > 0 and error < least:
            best, least = (p, q), error
        weight = t / np.abs(polyval(x, q))
    p, q = best
    return [float(c / count**k) for k, c in enumerate(p)], [float(c / count**k) for k, c in enumerate(q)]


if __name__ == "__main__":
    print("ODD_RATIONAL = {")
    for bits, (above, below) in DEGREES.items():
        print(f"    {bits}: (")
        for coefficients in rational(LLOYD_MAX[bits], above, below):
            print("        (" + ", ".join(f"{c:.9g}" for c in coefficients) + "),")
        print("    ),")
    print("}")
