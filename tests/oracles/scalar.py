"""The scalar codecs by their definitions, in float64 and by brute force."""

from collections.abc import Iterable

import numpy as np


def nearest(u: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The code of the nearest level of each element: all distances, and the smallest of them."""
    return np.abs(u[..., None] - levels).argmin(axis=-1)


def distance_to_threshold(u: np.ndarray, levels: np.ndarray) -> np.ndarray:
    return np.abs(u[..., None] - (levels[1:] + levels[:-1]) / 2).min(axis=-1)


def normalised(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y √D/‖y‖ and ‖y‖/√D."""
    rms = np.linalg.norm(y, axis=-1, keepdims=True) / np.sqrt(y.shape[-1])
    return y / rms, rms


def least_squares(u: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The g that minimises ‖u − g·c‖."""
    return np.einsum("...d,...d->...", u, c)[..., None] / np.einsum("...d,...d->...", c, c)[..., None]


def cosine(u: np.ndarray, c: np.ndarray) -> np.ndarray:
    return np.einsum("...d,...d->...", u, c) / (np.linalg.norm(u, axis=-1) * np.linalg.norm(c, axis=-1))


def best_cosine(u: np.ndarray, levels: np.ndarray, scales: Iterable[float]) -> np.ndarray:
    """The largest cosine between u and the levels nearest to s·u, over the scales s."""
    return np.max([cosine(u, levels[nearest(u * s, levels)]) for s in scales], axis=0)


def relative_error(x: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """‖x − x̂‖²/‖x‖² of each vector."""
    x, decoded = (np.asarray(a, dtype=np.float64) for a in (x, decoded))
    return np.square(x - decoded).sum(axis=-1) / np.square(x).sum(axis=-1)
