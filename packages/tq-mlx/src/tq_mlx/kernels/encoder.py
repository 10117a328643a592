"""The fused encode kernel: vectors of any float dtype and layout → packed codes and gains, in one launch.

32 lanes take a vector: subtract a mean, rotate, normalise, search the input scale, round, pack. No copy of the vectors
and no float32 form of them is made.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self, cast

import mlx.core as mx

from tq_core import Codec, ScalarCode, UniformCodec
from tq_core.codebook import LLOYD_MAX, UNIFORM_STEP, positive_thresholds
from tq_core.rotation import signs
from tq_core.scalar import GAIN_DTYPE, SEARCH_SCALES, Gain, ScalarCodec
from tq_mlx.kernels.launch import Pass, Run
from tq_mlx.kernels.source_text import Constants
from tq_mlx.kernels.variant import DTYPES, HEAD_DIMS, Codes, NoKernelError
from tq_mlx.kernels.work import words_of
from tq_mlx.means import Means

SIMDS = 8
"""Groups of 32 lanes per threadgroup."""

THREADGROUPS = 4096
"""That keep a large GPU busy; a longer history gives each of them more vectors."""

GAINS: dict[Gain, int] = {"norm": 0, "least_squares": 1, "norm_preserving": 2}
"""NORM, LEAST_SQUARES and NORM_PRESERVING of the kernel's text."""

ALL = 1 << 30
"""Tokens of a block that never ends."""


@dataclass(frozen=True)
class Encoder:
    """One compiled kernel, and the numbers that it is given.

    Attributes:
        codec: uniform or Lloyd-Max, behind a Hadamard rotation.
        head_dim: of the vectors.
        dtype: of the vectors.
        centred: whether means are subtracted from them.
    """

    codec: ScalarCodec
    head_dim: int
    dtype: mx.Dtype
    centred: bool

    @classmethod
    @lru_cache
    def of(cls, codec: Codec[Any], head_dim: int, dtype: mx.Dtype, *, centred: bool) -> Self:
        """Return the kernel for vectors of that head dimension and dtype.

        Raises:
            NoKernelError: there is none, and for what.
        """
        Codes.of(codec)
        if head_dim not in HEAD_DIMS:
            raise NoKernelError(f"head dimension {head_dim}")
        if dtype not in DTYPES:
            raise NoKernelError(f"{dtype}")
        return cls(cast("ScalarCodec", codec), head_dim, dtype, centred)

    @property
    def scales(self) -> tuple[float, ...]:
        """Input scales that are tried."""
        return (1.0, *SEARCH_SCALES) if self.codec.scale_search else (1.0,)

    @property
    def constants(self) -> Constants:
        """What is compiled in; which codebook it is, is not."""
        return (
            ("HEAD_DIM", self.head_dim),
            ("BITS", self.codec.bits),
            ("SCALES", len(self.scales)),
            ("GAIN", GAINS[self.codec.gain]),
            ("CENTRED", self.centred),
            ("SIMDS", SIMDS),
            ("T", self.dtype),
            ("G", GAIN_DTYPE),
        )


def encode(
    encoder: Encoder, x: mx.array, less: Means | None, run: Run, threadgroups: int = THREADGROUPS
) -> tuple[ScalarCode, mx.array]:
    """Return the code of the vectors, and the largest magnitude [B, H, T, 1] (float32) of each rotated one.

    Where that is NaN or beyond ``tq_core.codec.LARGEST``, the code means nothing.

    Args:
        encoder: the kernel that these need.
        x: [B, H, T, D].
        less: what is subtracted from them, where the encoder is centred.
        run: what runs a pass.
        threadgroups: about so many share the vectors.
    """
    batch, heads, tokens, head_dim = x.shape
    groups = min(-(-tokens // SIMDS), -(-threadgroups // (batch * heads)))
    block, gone = (less.block or ALL, less.gone) if less else (ALL, 0)
    launch = launch_for(encoder, (batch, heads, tokens), groups)
    means = less.vectors if less else x  # without means, none are read
    words, gain, peaks = run(launch, [x, means, numbers(encoder, (tokens, heads, groups, block, gone))])
    return ScalarCode(head_dim, words, gain), peaks


@lru_cache(maxsize=64)
def launch_for(encoder: Encoder, shape: tuple[int, int, int], groups: int) -> Pass:
    """Return the launch for vectors [*shape, D]; the layers of a model share it."""
    words = encoder.head_dim * encoder.codec.bits // 32
    return Pass(
        entry="encode",
        shapes=[(*shape, words), (*shape, 1), (*shape, 1)],
        dtypes=[mx.uint32, GAIN_DTYPE, mx.float32],
        constants=encoder.constants,
        groups=(groups, shape[0] * shape[1]),
        simds=SIMDS,
    )


@lru_cache(maxsize=64)
def numbers(encoder: Encoder, plan: tuple[int, int, int, int, int]) -> mx.array:
    """Return what the kernel is told, uint32: the plan in eight words, signs, codebook, input scales."""
    codec = encoder.codec
    rotation = cast("list[float]", signs(codec.rotation.seed, 0, encoder.head_dim).tolist())
    floats = (*rotation, *codebook(codec), *encoder.scales)
    return words_of(struct.pack("8i", *plan, 0, 0, 0) + struct.pack(f"{len(floats)}f", *floats))


def codebook(codec: ScalarCodec) -> tuple[float, ...]:
    """Return the thresholds of the positive half, one number that is not read, and its centroids."""
    bits = codec.bits
    if isinstance(codec, UniformCodec):
        ranks, step = range(1 << (bits - 1)), UNIFORM_STEP[bits]
        return (*(rank * step for rank in ranks[1:]), 0.0, *((rank + 0.5) * step for rank in ranks))
    return (*positive_thresholds(bits), 0.0, *LLOYD_MAX[bits])
