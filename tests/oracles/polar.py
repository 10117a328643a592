"""The polar transform, its densities and its quantizer by their definitions, in float64 with arctangents."""

from collections.abc import Sequence
from itertools import pairwise
from math import pi

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def angles_of(y: np.ndarray, levels: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The angles of each level, level 1 in [0, 2π), and the radius of each block of 2^levels coordinates."""
    angles, radius = [], y
    for _ in range(levels):
        pairs = radius.reshape(*radius.shape[:-1], -1, 2)
        angles.append(np.arctan2(pairs[..., 1], pairs[..., 0]) % (2 * pi))
        radius = np.linalg.norm(pairs, axis=-1)
    return angles, radius


def points_of(angles: Sequence[np.ndarray], radius: np.ndarray) -> np.ndarray:
    """The coordinates of angles and radii."""
    for psi in reversed(angles):
        pairs = np.stack([radius * np.cos(psi), radius * np.sin(psi)], axis=-1)
        radius = pairs.reshape(*pairs.shape[:-2], -1)
    return radius


def density(level: int, psi: np.ndarray) -> np.ndarray:
    """Of an angle of level 2 or more, not normalised; its exponent is one less than the coordinates of each side."""
    return np.sin(2 * psi) ** (2 ** (level - 1) - 1)


def integral(level: int, low: float, high: float, f=lambda psi: 1.0) -> float:
    """∫ f · density over part of [0, π/2]."""
    middle, half = (low + high) / 2, (high - low) / 2
    psi = middle + half * NODES
    return float(half * (WEIGHTS * f(psi) * density(level, psi)).sum())


def distribution(level: int, psi: np.ndarray) -> np.ndarray:
    """P(angle ≤ ψ) for ascending ψ."""
    if level == 1:
        return psi / (2 * pi)
    edges = np.linspace(0, pi / 2, 2001)
    pieces = [integral(level, a, b) for a, b in pairwise(edges)]
    below = np.concatenate([[0.0], np.cumsum(pieces)])
    return np.interp(psi, edges, below / below[-1])


def edges_of(level: int, book: np.ndarray) -> np.ndarray:
    """The ends of the cells of a codebook; on the circle they are half a step before and behind."""
    halfway = (book[1:] + book[:-1]) / 2
    low, high = (0.0, 2 * pi) if level == 1 else (0.0, pi / 2)
    return np.concatenate([[low], halfway, [high]])


def probabilities(level: int, book: np.ndarray) -> np.ndarray:
    """Of each code."""
    if level == 1:
        return np.full(len(book), 1 / len(book))
    edges = edges_of(level, book)
    cells = np.array([integral(level, a, b) for a, b in pairwise(edges)])
    return cells / cells.sum()


def cell_means(level: int, book: np.ndarray) -> np.ndarray:
    """What the centroids of a Lloyd–Max codebook equal."""
    edges = edges_of(level, book)
    return np.array([integral(level, a, b, lambda psi: psi) / integral(level, a, b) for a, b in pairwise(edges)])


def mean_cosine(level: int, book: np.ndarray) -> float:
    """E cos(ψ − ψ̂)."""
    if level == 1:
        step = 2 * pi / len(book)
        return float(np.sin(step / 2) / (step / 2))
    edges = edges_of(level, book)
    cells = zip(pairwise(edges), book, strict=True)
    parts = [integral(level, a, b, lambda psi, c=c: np.cos(psi - c)) for (a, b), c in cells]
    return sum(parts) / integral(level, 0, pi / 2)


def norm_distortion(books: Sequence[np.ndarray]) -> float:
    """D_mse of Gaussian vectors with exact norms as radii.

    The inner product of a node's unit vector with its decoded direction is A = A₁ cos ψ cos ψ̂ + A₂ sin ψ sin ψ̂, with
    those of its halves, which are alike and do not depend on ψ. So E A is the product of all levels' E cos(ψ − ψ̂),
    and D_mse is 2 − 2 E A.
    """
    return 2 - 2 * float(np.prod([mean_cosine(level, book) for level, book in enumerate(books, start=1)]))


def quantize(y: np.ndarray, books: Sequence[np.ndarray], *, fitted: bool) -> tuple[list[np.ndarray], np.ndarray]:
    """The codes of every level and the radii; ``fitted`` goes on with each pair's projection on its coded direction."""
    codes, radius = [], y
    for book in books:
        pairs = radius.reshape(*radius.shape[:-1], -1, 2)
        psi = np.arctan2(pairs[..., 1], pairs[..., 0])
        distance = np.abs((psi[..., None] - book + pi) % (2 * pi) - pi)
        code = distance.argmin(axis=-1)
        codes.append(code)
        if fitted:
            radius = pairs[..., 0] * np.cos(book[code]) + pairs[..., 1] * np.sin(book[code])
        else:
            radius = np.linalg.norm(pairs, axis=-1)
    return codes, radius
