"""QJL: one sign per row of a Gaussian sketch, enough for an unbiased inner product (arXiv 2406.03482).

For a sketch S of m rows with independent N(0, 1) entries, E[⟨S q, sign(S r)⟩] = √(2/π) · m · ⟨q, r⟩/‖r‖. So the signs
and the norm of r give, with any q, the unbiased estimate √(π/2)/m · ‖r‖ · ⟨S q, sign(S r)⟩, whose variance is at most
π/(2m) · ‖q‖²‖r‖².
"""

import math
from functools import lru_cache

import mlx.core as mx

from tq_core.packing import pack, unpack
from tq_core.rotation import generator


@lru_cache(maxsize=16)
def sketch(seed: int, rows: int, head_dim: int) -> mx.array:
    """Return the seeded S [rows, D], float32; one of fewer rows is its beginning."""
    draw = generator("sketch", seed, head_dim)
    return mx.array([draw.gauss(0.0, 1.0) for _ in range(rows * head_dim)]).reshape(rows, head_dim)


def sketch_weight(rows: int) -> float:
    """Return √(π/2)/m, which makes the estimate unbiased."""
    return math.sqrt(math.pi / 2) / rows


def pack_signs(sketched: mx.array) -> mx.array:
    """Pack the signs of [..., m] into words [..., ⌈m/32⌉], uint32: a set bit is a number that is not negative."""
    return pack(sketched >= 0, 1)


def unpack_signs(words: mx.array, rows: int) -> mx.array:
    """Return the signs ±1 [..., m], float32."""
    return unpack(words, 1, rows).astype(mx.float32) * 2 - 1
