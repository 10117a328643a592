"""Codes → points of a codebook by arithmetic: a few operations that fuse, where a gather takes many times longer.

A codebook is an odd function of the centred index t = code − (2^b − 1)/2. Up to 4 bits one odd polynomial passes
through all centroids. Beyond, c = t · P(r)/Q(r) with r = 2^(b−1) − 1/2 − |t|, which is a whole number and so exact in
float32: within 1e-6 of every centroid. The rational coefficients are computed by ``scripts/rational_tables.py``.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import mlx.core as mx

from tq_core.codebook import ODD_POLYNOMIAL

ODD_RATIONAL = {  # bits → coefficients of 1, r, r² … in P and in Q
    5: (
        (0.210369839, 0.18695949, 0.0327181992, 0.000395510378, -2.26042208e-05),
        (1, 1.06054075, 0.251241876, 0.00774531929, -0.000383050416),
    ),
    6: (
        (0.118860359, 0.137712756, 0.0410132457, 0.00304235176, 1.59014077e-05, -5.01021439e-07),
        (1, 1.3108895, 0.47080334, 0.0474300596, 0.000649935455, -1.71237068e-05),
    ),
    7: (
        (0.0659794362, 0.0625619649, 0.0135371628, 0.000646222911, 2.22218288e-06, -2.97137448e-08),
        (1, 1.08187941, 0.287262691, 0.0190685469, 0.00016816963, -1.96090187e-06),
    ),
    8: (
        (0.0361061616, 0.0393855763, 0.0111073701, 0.000896430568, 1.76226932e-05, 2.43261818e-08, -1.84303882e-10),
        (1, 1.20837041, 0.395319643, 0.039481765, 0.00107738164, 3.93860478e-06, -2.5026609e-08),
    ),
}


def lloyd_max_values(codes: mx.array, bits: int) -> mx.array:
    """Return the Lloyd–Max centroids of codes (any integer dtype), float32."""
    return lloyd_max_arithmetic(bits)(codes)


def grid_values(codes: mx.array, bits: int, step: float) -> mx.array:
    """Return the points of the evenly spaced grid of codes (any integer dtype), float32."""
    return grid_arithmetic(bits, step)(codes)


# Compiled for each shape anew: with shapeless=True MLX adds a broadcast to every operation, and beyond a depth of
# eleven it fuses no more, which made the same arithmetic five times slower.


@lru_cache
def lloyd_max_arithmetic(bits: int) -> Callable[[mx.array], mx.array]:
    middle = (2**bits - 1) / 2

    def polynomial(codes: mx.array) -> mx.array:
        t = codes.astype(mx.float32) - middle
        return estrin(coefficients, t * t) * t

    def rational(codes: mx.array) -> mx.array:
        t = codes.astype(mx.float32) - middle
        left = middle - mx.abs(t)
        above, below = ODD_RATIONAL[bits]
        return t * estrin(above, left) / estrin(below, left)

    if bits not in ODD_POLYNOMIAL:
        return mx.compile(rational)
    coefficients = [c / middle ** (2 * k + 1) for k, c in enumerate(ODD_POLYNOMIAL[bits])]
    return mx.compile(polynomial)


@lru_cache
def grid_arithmetic(bits: int, step: float) -> Callable[[mx.array], mx.array]:
    middle = (2**bits - 1) / 2
    return mx.compile(lambda codes: (codes.astype(mx.float32) - middle) * step)


def estrin(coefficients: Sequence[float], x: mx.array) -> mx.array:
    """Return Σ c_k x^k by Estrin's scheme, whose depth is the logarithm of Horner's."""
    terms: list[float | mx.array] = list(coefficients)
    while len(terms) > 1:
        pairs: list[float | mx.array] = [a + b * x for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
        if len(terms) > 1:
            x = x * x
    return mx.array(terms[0])
