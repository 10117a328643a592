"""Affine codes in groups with the largest residuals kept: compatibility only, so that old configurations still run.

The rotated vector is cut into groups of g coordinates, each with a scale and a bias between its extremes, and the k
largest residuals of a group are stored besides as pairs of index and value. Extremes and pairs are dear: with 4 bits,
g = 32 and k = 2 this stores 6.5 bits per value at D_mse 0.0050, and MseCodec errs a tenth of that with 6 bits.
"""

from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx

from tq_core.codec import Code, Codec
from tq_core.packing import WORD, check_bits, pack, unpack, words_per_vector
from tq_core.parameters import check_count

SIDE_DTYPE = mx.bfloat16
"""Of scales, biases and residuals: those of real keys overflow float16."""

LARGEST_GROUP = 256
"""Indices have at most 8 bits."""


@dataclass(frozen=True)
class TopkCode(Code):
    """Codes of T vectors in G = ⌈D/g⌉ groups; scales, biases and residuals are bfloat16.

    The codes' words [..., T, ⌈D·b/32⌉] (uint32), scale and bias [..., T, G]; of the kept residuals, the indices'
    words [..., T, ⌈G·k·⌈log2 g⌉/32⌉] (uint32) and the values [..., T, G·k].
    """

    words: mx.array
    scale: mx.array
    bias: mx.array
    indices: mx.array
    residuals: mx.array


@dataclass(frozen=True)
class TopkCodec(Codec[TopkCode]):
    """Group-wise affine codes of 1 to 8 bits with k exceptions per group.

    Where D is no multiple of the group size, the last group is smaller and stored like a full one.

    Attributes:
        bits: width of a coordinate's code.
        group_size: g, 2 to 256 coordinates.
        k: residuals kept per group, 1 to g.
    """

    name: ClassVar[str] = "topk"
    code_type: ClassVar[type[Code]] = TopkCode
    bits: int = 4
    group_size: int = 32
    k: int = 2

    def __post_init__(self) -> None:
        """Refuse parameters out of range or at odds."""
        super().__post_init__()
        check_bits(self.bits)
        check_count("group_size", self.group_size, 2, LARGEST_GROUP)
        check_count("k", self.k, 1, self.group_size, otherwise=" residuals of a group")

    def bits_per_value(self, head_dim: int) -> float:
        """Return (words + scales + biases + indices + residuals) bits / D."""
        groups = self.groups(head_dim)
        words = words_per_vector(head_dim, self.bits) + words_per_vector(groups * self.k, self.index_bits)
        return (WORD * words + 8 * SIDE_DTYPE.size * groups * (2 + self.k)) / head_dim

    def quantize(self, y: mx.array) -> TopkCode:
        """Spread the codes evenly between each group's extremes, then keep the largest residuals."""
        head_dim = y.shape[-1]
        grouped, top = self.grouped(y), 2**self.bits - 1
        low, high = grouped.min(axis=-1, keepdims=True), grouped.max(axis=-1, keepdims=True)
        scale, bias = (high / top - low / top).astype(SIDE_DTYPE), low.astype(SIDE_DTYPE)
        # What is rounded, and what it misses, are taken against scale and bias as stored.
        steps = (grouped - bias) / mx.where(scale > 0, scale, 1.0)
        codes = mx.clip(mx.round(steps), 0, top)
        residual = grouped - (codes * scale + bias)
        indices = self.largest(residual, head_dim)
        kept = mx.take_along_axis(residual, indices, axis=-1)
        pairs = (*y.shape[:-1], self.groups(head_dim) * self.k)
        return TopkCode(
            head_dim,
            words=pack(codes.flatten(-2)[..., :head_dim], self.bits),
            scale=scale[..., 0],
            bias=bias[..., 0],
            indices=pack(indices.reshape(pairs), self.index_bits),
            residuals=kept.reshape(pairs).astype(SIDE_DTYPE),
        )

    def dequantize(self, code: TopkCode) -> mx.array:
        """Return scale · code + bias with the kept residuals added [..., T, D]."""
        groups = self.groups(code.head_dim)
        pairs = (*code.residuals.shape[:-1], groups, self.k, 1)
        indices = unpack(code.indices, self.index_bits, groups * self.k).reshape(pairs)
        here = indices == mx.arange(self.group_size)
        added = (here * code.residuals.reshape(pairs).astype(mx.float32)).sum(axis=-2)
        codes = self.grouped(unpack(code.words, self.bits, code.head_dim).astype(mx.float32))
        restored = codes * code.scale[..., None] + code.bias[..., None] + added
        return restored.flatten(-2)[..., : code.head_dim]

    def groups(self, head_dim: int) -> int:
        """Return G, the last group included."""
        return -(-head_dim // self.group_size)

    def grouped(self, y: mx.array) -> mx.array:
        """Return y as [..., T, G, g]; copies of the last coordinate, which move no extreme, fill the last group."""
        head_dim, groups = y.shape[-1], self.groups(y.shape[-1])
        padding = [(0, 0)] * (y.ndim - 1) + [(0, groups * self.group_size - head_dim)]
        return mx.pad(y, padding, mode="edge").reshape(*y.shape[:-1], groups, self.group_size)

    def largest(self, residual: mx.array, head_dim: int) -> mx.array:
        """Return the indices [..., T, G, k] of each group's k largest residuals, ascending; padding is taken last."""
        real = mx.arange(self.groups(head_dim) * self.group_size).reshape(residual.shape[-2:]) < head_dim
        magnitude = mx.where(real, mx.abs(residual), -1.0)
        return mx.sort(mx.argpartition(-magnitude, kth=self.k - 1, axis=-1)[..., : self.k], axis=-1)

    @property
    def index_bits(self) -> int:
        """⌈log2 g⌉."""
        return (self.group_size - 1).bit_length()
