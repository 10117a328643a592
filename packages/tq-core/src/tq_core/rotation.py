"""Seeded orthogonal rotations: y = R x along the last axis, and x = Rᵀ y.

A rotated unit vector has coordinates close to N(0, 1/D), which is what makes one fixed codebook fit every vector
(TurboQuant, arXiv 2504.19874, §3). All randomness comes from Python's own generator, so a seed names the same rotation
on every MLX backend.
"""

import math
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import mlx.core as mx

from tq_core.errors import InvalidCodecError, UnsupportedHeadDimError
from tq_core.parameters import check_count

RotationKind = Literal["hadamard", "random_orthogonal", "identity"]

SMALLEST_BLOCK = 16
"""Blocks of fewer coordinates mix too little for the rotated coordinates to look Gaussian."""


@dataclass(frozen=True)
class Rotation(ABC):
    """An orthogonal matrix for every head dimension, named by its kind and seed."""

    seed: int = 0
    kind: ClassVar[RotationKind]

    def __post_init__(self) -> None:
        """Refuse a seed that is not a natural number."""
        check_count("rotation seed", self.seed, 0)

    @abstractmethod
    def apply(self, x: mx.array) -> mx.array:
        """Return R x along the last axis; shape and dtype as ``x``."""

    @abstractmethod
    def invert(self, y: mx.array) -> mx.array:
        """Return Rᵀ y along the last axis; shape and dtype as ``y``."""

    @abstractmethod
    def check(self, head_dim: int) -> None:
        """Raise UnsupportedHeadDimError unless this rotation serves ``head_dim``."""


@dataclass(frozen=True)
class Hadamard(Rotation):
    """R = H · diag(signs) / √D by fast Hadamard transforms.

    MLX transforms D = m·2^k for m in 1, 12, 20, 28. Any other D is cut into equal blocks of such a size; two rounds
    with a seeded shuffle between them let every block reach every other.
    """

    kind: ClassVar[RotationKind] = "hadamard"

    def apply(self, x: mx.array) -> mx.array:
        head_dim = x.shape[-1]
        blocks = head_dim // block_size(head_dim)
        y = transform(x * signs(self.seed, 0, head_dim).astype(x.dtype), blocks)
        if blocks > 1:
            order, _ = shuffle(self.seed, head_dim)
            y = mx.take(y, order, axis=-1)
            y = transform(y * signs(self.seed, 1, head_dim).astype(x.dtype), blocks)
        return y

    def invert(self, y: mx.array) -> mx.array:
        head_dim = y.shape[-1]
        blocks = head_dim // block_size(head_dim)
        if blocks > 1:
            _, back = shuffle(self.seed, head_dim)
            y = inverse_transform(y, blocks) * signs(self.seed, 1, head_dim).astype(y.dtype)
            y = mx.take(y, back, axis=-1)
        return inverse_transform(y, blocks) * signs(self.seed, 0, head_dim).astype(y.dtype)

    def check(self, head_dim: int) -> None:
        block_size(head_dim)


@dataclass(frozen=True)
class RandomOrthogonal(Rotation):
    """R = Q of the QR decomposition of a seeded Gaussian matrix (the papers' rotation)."""

    kind: ClassVar[RotationKind] = "random_orthogonal"

    def apply(self, x: mx.array) -> mx.array:
        return x @ gaussian_q(self.seed, x.shape[-1]).astype(x.dtype).T

    def invert(self, y: mx.array) -> mx.array:
        return y @ gaussian_q(self.seed, y.shape[-1]).astype(y.dtype)

    def check(self, head_dim: int) -> None:
        if head_dim < 1:
            raise UnsupportedHeadDimError(f"head_dim is {head_dim}: use 1 or more")


@dataclass(frozen=True)
class Identity(Rotation):
    """R = I, for ablation: shows what the rotation is worth."""

    kind: ClassVar[RotationKind] = "identity"

    def apply(self, x: mx.array) -> mx.array:
        return x

    def invert(self, y: mx.array) -> mx.array:
        return y

    def check(self, head_dim: int) -> None:
        if head_dim < 1:
            raise UnsupportedHeadDimError(f"head_dim is {head_dim}: use 1 or more")


def rotation(kind: str, seed: int = 0) -> Rotation:
    """Return the rotation of that kind; InvalidCodecError names the known kinds."""
    known = {cls.kind: cls for cls in (Hadamard, RandomOrthogonal, Identity)}
    if not isinstance(kind, str) or kind not in known:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidCodecError(f"rotation {kind!r} is not known: use one of {', '.join(known)}")
    return known[kind](seed)


@lru_cache
def block_size(head_dim: int) -> int:
    """Return the largest m·2^k that divides ``head_dim`` and that MLX transforms, from SMALLEST_BLOCK up."""
    for size in range(head_dim, SMALLEST_BLOCK - 1, -1):
        if head_dim % size == 0 and odd_factor(size) is not None:
            return size
    raise UnsupportedHeadDimError(
        f"head_dim {head_dim} has no divisor m·2^k ≥ {SMALLEST_BLOCK} with m in 1, 12, 20, 28: "
        "use the random_orthogonal rotation, or leave this cache dense"
    )


def odd_factor(size: int) -> int | None:
    """Return m of size = m·2^k; None where MLX has no transform (it would read past its tables)."""
    for m in (28, 20, 12, 1):
        power, rest = divmod(size, m)
        if rest == 0 and power > 0 and power & (power - 1) == 0:
            return m
    return None


def transform(x: mx.array, blocks: int) -> mx.array:
    """Return the normalised Hadamard transform of each of ``blocks`` equal parts of the last axis."""
    if not x.size:  # MLX refuses to transform nothing
        return x
    size = x.shape[-1] // blocks
    parts = x.reshape(*x.shape[:-1], blocks, size)
    return mx.hadamard_transform(parts, scale=1 / math.sqrt(size)).reshape(x.shape)


def inverse_transform(y: mx.array, blocks: int) -> mx.array:
    """Undo ``transform``: H of size m·2^k is H_m ⊗ H_2^k, of which only the second factor is symmetric for every m."""
    size = y.shape[-1] // blocks
    m = odd_factor(size)
    if m is None or m == 1 or not y.size:
        return transform(y, blocks)
    parts = y.reshape(*y.shape[:-1], blocks, m, size // m)
    parts = mx.hadamard_transform(parts, scale=1 / math.sqrt(size)) if size > m else parts / m**0.5
    factor = mx.hadamard_transform(mx.eye(m, dtype=y.dtype), scale=1.0)  # row i is H_m e_i
    return mx.matmul(factor, parts).reshape(y.shape)


def generator(purpose: str, seed: int, head_dim: int) -> random.Random:
    return random.Random(f"{purpose}/{seed}/{head_dim}")  # noqa: S311 (reproducible, not secret)


@lru_cache(maxsize=64)
def signs(seed: int, layer: int, head_dim: int) -> mx.array:
    """Return ``head_dim`` seeded signs ±1, float32."""
    draw = generator(f"signs{layer}", seed, head_dim)
    return mx.array([1.0 if draw.random() < 0.5 else -1.0 for _ in range(head_dim)])


@lru_cache(maxsize=64)
def shuffle(seed: int, head_dim: int) -> tuple[mx.array, mx.array]:
    """Return a seeded permutation of the coordinates and its inverse, uint32."""
    draw = generator("shuffle", seed, head_dim)
    keys = [draw.random() for _ in range(head_dim)]
    order = sorted(range(head_dim), key=keys.__getitem__)
    back = sorted(range(head_dim), key=order.__getitem__)
    return mx.array(order, dtype=mx.uint32), mx.array(back, dtype=mx.uint32)


@lru_cache(maxsize=16)
def gaussian_q(seed: int, head_dim: int) -> mx.array:
    """Return Q (D × D, float32) of a seeded Gaussian matrix; R's diagonal is made positive so that Q is unique."""
    draw = generator("gaussian", seed, head_dim)
    normal = [draw.gauss(0.0, 1.0) for _ in range(head_dim * head_dim)]
    q, r = mx.linalg.qr(mx.array(normal).reshape(head_dim, head_dim), stream=mx.cpu)
    diagonal = mx.diagonal(r, stream=mx.cpu)
    q = mx.multiply(q, mx.where(diagonal < 0, -1.0, 1.0), stream=mx.cpu)
    mx.eval(q)
    return q
