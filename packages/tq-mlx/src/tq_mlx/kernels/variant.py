"""What a fused kernel is compiled for, read off a cache's codecs; or why there is none."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Self

import mlx.core as mx

from tq_core import Codec, Hadamard, MseCodec, UniformCodec
from tq_core.codebook import UNIFORM_STEP, lloyd_max
from tq_mlx.kernels.source_text import Constants

HEAD_DIMS = (64, 128, 256)
WIDTHS = (2, 3, 4, 5, 6, 8)
LEAST_BLOCK = 16
MOST_PAIRED = 4
"""Bits of the largest codebook that is a table of pairs of centroids."""
DTYPES = (mx.bfloat16, mx.float16, mx.float32)


class NoKernelError(Exception):
    """There is no kernel for this; the message says for what."""


@dataclass(frozen=True)
class Codes:
    """How one side is coded.

    Attributes:
        bits: per code.
        table: a Lloyd-Max codebook; else an even grid.
    """

    bits: int
    table: bool

    @classmethod
    def of(cls, codec: Codec[Any]) -> Self:
        """Return how the codec codes; NoKernelError if no kernel reads that."""
        if not (type(codec) is UniformCodec or type(codec) is MseCodec):  # a derived class may have other centroids
            raise NoKernelError(f"codec {codec.name}")
        if codec.bits not in WIDTHS or codec.gain_group is not None:
            raise NoKernelError(f"codec {codec.label}, gain_group {codec.gain_group}")
        if not isinstance(codec.rotation, Hadamard):
            raise NoKernelError(f"rotation {codec.rotation.kind}")
        return cls(codec.bits, type(codec) is MseCodec)

    @property
    def step(self) -> float:
        """What a code's value is counted in."""
        return 1.0 if self.table else UNIFORM_STEP[self.bits]

    def form(self, exact: bool) -> int:
        """Return how codes become values: GRID, PAIRS or TABLE of the kernel's text; a table of pairs is not exact."""
        return 0 if not self.table else 1 if self.bits <= MOST_PAIRED and not exact else 2

    def centroids(self) -> bytes:
        """Return the codebook as halves, and behind it what rounding took from them; nothing for a grid."""
        return centroid_halves(self.bits) if self.table else b""


@dataclass(frozen=True, eq=False)
class Variant:
    """One compiled kernel; ``of`` returns the same one for the same arguments.

    Attributes:
        head_dim: of keys and values.
        keys: codes of the keys, and of their blocks' deviations from the mean key.
        values: codes of the values.
        block: tokens that share such a deviation; None without.
        dtype: of queries, dense tokens and result.
    """

    head_dim: int
    keys: Codes
    values: Codes
    block: int | None
    dtype: mx.Dtype

    @classmethod
    @cache
    def of(
        cls, keys: Codec[Any], values: Codec[Any], head_dims: tuple[int, int], block: int | None, dtype: mx.Dtype
    ) -> Self:
        """Return the kernel for these codecs, head dimensions of keys and values, blocks with a mean, and dtype.

        Raises:
            NoKernelError: there is none, and for what.
        """
        if head_dims[0] not in HEAD_DIMS or head_dims[1] != head_dims[0]:
            raise NoKernelError(f"head dimensions {head_dims[0]} and {head_dims[1]}")
        coded = Codes.of(keys), Codes.of(values)
        if keys.rotation != values.rotation:
            raise NoKernelError("keys and values behind different rotations")
        if block is not None and (block < LEAST_BLOCK or block & (block - 1)):
            raise NoKernelError(f"means of blocks of {block} tokens")
        if dtype not in DTYPES:
            raise NoKernelError(f"{dtype}")
        return cls(head_dims[0], *coded, block, dtype)

    @property
    def pair_bytes(self) -> int:
        """Bytes of the tables of pairs; sides of the same width share one."""
        exact = self.dtype == mx.float32
        return sum(
            {side.bits: 4 << 2 * side.bits for side in (self.keys, self.values) if side.form(exact) == 1}.values()
        )

    @property
    def constants(self) -> Constants:
        """What is compiled into the first pass."""
        exact = self.dtype == mx.float32
        return (
            ("HEAD_DIM", self.head_dim),
            ("KEY_BITS", self.keys.bits),
            ("KEY_FORM", self.keys.form(exact)),
            ("VALUE_BITS", self.values.bits),
            ("VALUE_FORM", self.values.form(exact)),
            ("EXACT", exact),
            ("SHIFTED", self.block is not None),
            ("T", self.dtype),
        )


@lru_cache
def centroid_halves(bits: int) -> bytes:
    exact = lloyd_max(bits)
    rounded = exact.astype(mx.float16)
    rest = (exact - rounded.astype(mx.float32)).astype(mx.float16)
    halves: Any = mx.concatenate([rounded, rest]).view(mx.uint16)  # a buffer, which MLX's types do not say
    return bytes(memoryview(halves))
