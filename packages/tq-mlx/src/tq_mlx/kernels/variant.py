"""What a fused kernel is compiled for, read off a cache's codecs; or why there is none."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import mlx.core as mx

from tq_core import Codec, Hadamard, MseCodec, UniformCodec
from tq_core.codebook import UNIFORM_STEP, lloyd_max
from tq_mlx.kernels.source_text import Constants

HEAD_DIMS = (64, 128, 256)
WIDTHS = (2, 3, 4, 5, 6, 8)
LEAST_BLOCK = 16
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

    def centroids(self) -> mx.array:
        """Return the codebook as halves, and behind it what rounding took from them; eight zeros for a grid."""
        return centroid_halves(self.bits) if self.table else nothing(mx.uint16)


@dataclass(frozen=True)
class Variant:
    """One compiled kernel.

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
    @lru_cache
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
    def constants(self) -> Constants:
        """What is compiled into the first pass."""
        return (
            ("HEAD_DIM", self.head_dim),
            ("KEY_BITS", self.keys.bits),
            ("KEY_TABLE", self.keys.table),
            ("VALUE_BITS", self.values.bits),
            ("VALUE_TABLE", self.values.table),
            ("EXACT", self.dtype == mx.float32),
            ("SHIFTED", self.block is not None),
            ("T", self.dtype),
        )


@lru_cache
def centroid_halves(bits: int) -> mx.array:
    exact = lloyd_max(bits)
    rounded = exact.astype(mx.float16)
    return mx.concatenate([rounded, (exact - rounded.astype(mx.float32)).astype(mx.float16)]).view(mx.uint16)


@lru_cache
def nothing(dtype: mx.Dtype) -> mx.array:
    """Return what stands for an absent [B, H, n, D]; from eight elements on, Metal reads all arrays alike."""
    return mx.zeros((1, 1, 1, 8), dtype=dtype)
