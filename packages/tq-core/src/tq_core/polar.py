"""PolarQuant: the angles of a recursive polar transform (arXiv 2502.02617).

The rotated coordinates of a block are paired; each pair becomes an angle on the circle and a radius. The radii are
paired in turn, and so on until one radius is left: level 1 has half as many angles as the block has coordinates, each
further level half as many as the one below. Angles of one level share a fixed codebook and so a width; a block costs
its angles and one radius. Nothing but comparisons with tangents is needed to code an angle.

The codebooks count on neighbours that are independent, not only on coordinates that look Gaussian. A Hadamard transform
leaves structured vectors with equal neighbours: those with every eighth channel large err five times as much as others.
So the rotation is by default the paper's, random_orthogonal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import mlx.core as mx

from tq_core.bit_stream import BYTE, bytes_per_vector, pack_stream, unpack_stream
from tq_core.codec import Code, Codec
from tq_core.errors import InvalidCodecError, UnsupportedHeadDimError
from tq_core.polar_codebook import check_level_bits, directions, nearest_angle
from tq_core.rotation import RandomOrthogonal, Rotation
from tq_core.scalar import GAIN_DTYPE, normalise

Gain = Literal["norm", "least_squares"]

PAPER_ROTATION = RandomOrthogonal(seed=0)

PUBLISHED = (4, 2, 2, 2)
"""The paper's form: blocks of 16, 3.875 bits per value with D_mse 0.032."""

FULL_DEPTH: dict[int, tuple[int, ...]] = {
    3: (4, 2, 2, 2, 2, 2, 2, 2, 2, 2),
    4: (5, 4, 3, 3, 2, 2, 2, 2, 2, 2),
}
"""Bits → level_bits of the largest block of any D; at D = 128, 3.125 and 4.3125 bits with D_mse 0.035 and 0.0097."""


@dataclass(frozen=True)
class PolarCode(Code):
    """All angles, level 1 first, as one bit stream [..., T, bytes] (uint8); radii [..., T, D/block] (bfloat16)."""

    angles: mx.array
    radius: mx.array


@dataclass(frozen=True)
class PolarCodec(Codec[PolarCode]):
    """Angles of every level of a recursive polar transform, and one radius per block.

    A block has 2^levels coordinates. There are as many levels as ``level_bits`` names, or as D can be halved, whichever
    is less: a long ``level_bits`` means the largest power of two that divides D, whatever D is. The paper's radius is a
    float16; ours is a bfloat16, of the same size, which norms of real keys do not overflow.

    Attributes:
        level_bits: width of the angles of each level, level 1 (on the whole circle) first.
        gain: "norm" stores the block's norm, as the paper does; "least_squares" takes to each next level the lengths
            that fit the angles as coded, so that the last is the radius that errs least: the same size, and up to 1 %
            less error.
    """

    name: ClassVar[str] = "polar"
    code_type: ClassVar[type[Code]] = PolarCode
    rotation: Rotation = PAPER_ROTATION
    level_bits: tuple[int, ...] = FULL_DEPTH[4]
    gain: Gain = "least_squares"

    def __post_init__(self) -> None:
        """Refuse widths without a codebook."""
        super().__post_init__()
        check_level_bits(self.level_bits)
        if self.gain not in get_args(Gain):
            raise InvalidCodecError(f"gain is {self.gain!r}: use 'norm' or 'least_squares'")

    def check(self, head_dim: int) -> None:
        super().check(head_dim)
        if head_dim % 2:
            raise UnsupportedHeadDimError(f"head_dim {head_dim} is odd: the polar transform takes coordinates in pairs")

    def bits_per_value(self, head_dim: int) -> float:
        """Return (angles of all levels + radii) bits / D."""
        widths = self.widths(head_dim)
        angles = BYTE * bytes_per_vector(angle_counts(head_dim, widths), widths)
        radii = 8 * GAIN_DTYPE.size * (head_dim >> len(widths))
        return (angles + radii) / head_dim

    def quantize(self, y: mx.array) -> PolarCode:
        """Code the angles level by level, from pairs of coordinates up to the blocks' radii."""
        widths, angles = self.widths(y.shape[-1]), list[mx.array]()
        radius, rms = normalise(y)
        for level, bits in enumerate(widths, start=1):
            a, b = radius[..., 0::2], radius[..., 1::2]
            angle = nearest_angle(a, b, level, bits)
            angles.append(angle)
            if self.gain == "norm":
                radius = mx.sqrt(a * a + b * b)
            else:
                direction = mx.take(directions(level, bits), angle, axis=0)
                radius = a * direction[..., 0] + b * direction[..., 1]
        return PolarCode(y.shape[-1], pack_stream(angles, widths), (radius * rms).astype(GAIN_DTYPE))

    def dequantize(self, code: PolarCode) -> mx.array:
        """Return the coordinates: each radius, from the blocks' down, times (cos, sin) of its angle."""
        widths = self.widths(code.head_dim)
        angles = unpack_stream(code.angles, angle_counts(code.head_dim, widths), widths)
        radius = code.radius.astype(mx.float32)
        for level, bits in reversed(list(enumerate(widths, start=1))):
            pairs = radius[..., None] * mx.take(directions(level, bits), angles[level - 1], axis=0)
            radius = pairs.flatten(-2)
        return radius

    def widths(self, head_dim: int) -> tuple[int, ...]:
        """Return the angles' bits at each level that vectors of this dimension have."""
        halvings = (head_dim & -head_dim).bit_length() - 1
        return self.level_bits[:halvings]


def angle_counts(head_dim: int, widths: Sequence[int]) -> list[int]:
    """Return the number of angles per vector at each level."""
    return [head_dim >> level for level in range(1, len(widths) + 1)]
