"""Rotations as float64 matrices."""

import mlx.core as mx
import numpy as np

from tq_core import Rotation


def matrix(rotation: Rotation, dim: int) -> np.ndarray:
    """R with y = R x, column by column from the rotated basis vectors."""
    return np.array(rotation.apply(mx.eye(dim)), dtype=np.float64).T


def hadamard(size: int) -> np.ndarray:
    """Sylvester's matrix of ±1, for a power of two."""
    h = np.ones((1, 1))
    while len(h) < size:
        h = np.block([[h, h], [h, -h]])
    return h


def served_block(dim: int) -> int | None:
    """The largest divisor of ``dim`` from 16 up that is m·2^k with m in 1, 12, 20, 28."""
    sizes = {m << k for m in (1, 12, 20, 28) for k in range(16)}
    return max((size for size in sizes if size >= 16 and dim % size == 0), default=None)
