"""QJL by its definition, in float64: what is stored, what is estimated, and with which variance."""

import numpy as np

UNBIASED = np.sqrt(np.pi / 2)


def estimate(q: np.ndarray, signs: np.ndarray, norm: np.ndarray, s: np.ndarray) -> np.ndarray:
    """√(π/2)/m · ‖r‖ · ⟨S q, sign(S r)⟩ for every q [M, D] and every r [T]: signs [T, m], norm [T]."""
    return UNBIASED / len(s) * np.einsum("md,kd,tk,t->mt", q, s, signs, norm, optimize=True)


def restored(signs: np.ndarray, norm: np.ndarray, s: np.ndarray) -> np.ndarray:
    """The vectors [T, D] whose inner products with q are the estimates."""
    return UNBIASED / len(s) * norm[:, None] * (signs @ s)


def variance(q: np.ndarray, r: np.ndarray, rows: int) -> np.ndarray:
    """The variance of the estimate over sketches, for q [M, D] and r [T, D].

    One row gives √(π/2) ‖r‖ ⟨s, q⟩ sign⟨s, r⟩, whose square is (π/2) ‖r‖² ⟨s, q⟩² and whose mean is ⟨q, r⟩.
    """
    size = np.square(np.linalg.norm(q, axis=-1))[:, None] * np.square(np.linalg.norm(r, axis=-1))
    return (np.pi / 2 * size - np.square(q @ r.T)) / rows
