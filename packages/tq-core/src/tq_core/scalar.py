"""What the scalar codecs share: one code per rotated coordinate and one gain per vector.

A vector y is normalised to unit mean square, u = y √D / ‖y‖, each coordinate is rounded to a codebook for N(0, 1), and
the gain scales the centroids c back: ŷ = gain · c. The paper's gain is ‖y‖/√D; the least-squares gain
⟨u, c⟩/⟨c, c⟩ · ‖y‖/√D is never worse; the scale search tries several input scales and keeps the one whose centroids
point closest to u. All three share one format.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import mlx.core as mx

from tq_core.codec import Code, Codec
from tq_core.errors import InvalidCodecError
from tq_core.packing import WORD, check_bits, pack, words_per_vector

Gain = Literal["norm", "least_squares"]

SEARCH_SCALES = (0.80, 0.85, 0.90, 0.95, 1.06, 1.12, 1.18, 1.25)
"""Input scales that the search tries besides 1."""

GAIN_DTYPE = mx.bfloat16
"""Norms of real keys overflow float16."""


@dataclass(frozen=True)
class ScalarCode(Code):
    """Words [..., T, ⌈D·b/32⌉] (uint32) of the coordinates' codes and the gain [..., T, 1] (bfloat16)."""

    words: mx.array
    gain: mx.array


@dataclass(frozen=True)
class ScalarCodec(Codec[ScalarCode]):
    """A codec of one b-bit code per rotated coordinate and one gain per vector."""

    code_type: ClassVar[type[Code]] = ScalarCode
    bits: int = 4
    gain: Gain = "least_squares"
    scale_search: bool = True

    def __post_init__(self) -> None:
        """Refuse parameters out of range or at odds."""
        check_bits(self.bits)
        if self.gain not in ("norm", "least_squares"):
            raise InvalidCodecError(f"gain is {self.gain!r}: use 'norm' or 'least_squares'")
        if self.scale_search and self.gain == "norm":
            raise InvalidCodecError(
                "scale_search with gain 'norm' would rescale nothing back: use gain 'least_squares'"
            )

    @abstractmethod
    def nearest(self, u: mx.array) -> mx.array:
        """Return the code (uint32) of the nearest centroid of each element of u."""

    @abstractmethod
    def round(self, u: mx.array) -> mx.array:
        """Return the nearest centroid of each element of u, float32."""

    def bits_per_value(self, head_dim: int) -> float:
        """Return (words + gain) bits / D."""
        stored = WORD * words_per_vector(head_dim, self.bits) + 8 * GAIN_DTYPE.size
        return stored / head_dim

    def quantize(self, y: mx.array) -> ScalarCode:
        """Round the normalised coordinates and fit the gain."""
        u, rms = normalise(y)
        if self.gain == "norm":
            scaled, gain = u, rms
        else:
            scaled = u * self.best_scale(u) if self.scale_search else u
            gain = rms * least_squares(u, self.round(scaled))
        return ScalarCode(y.shape[-1], pack(self.nearest(scaled), self.bits), gain.astype(GAIN_DTYPE))

    def best_scale(self, u: mx.array) -> mx.array:
        """Return the input scale [..., 1] whose centroids have the largest cosine to u."""
        best = alignment(u, self.round(u))
        scale = mx.ones(best.shape)
        for candidate in SEARCH_SCALES:
            score = alignment(u, self.round(u * candidate))
            scale = mx.where(score > best, candidate, scale)
            best = mx.maximum(score, best)
        return scale


def normalise(y: mx.array) -> tuple[mx.array, mx.array]:
    """Return y scaled to unit mean square along the last axis, and the scale [..., 1] that undoes it.

    Dividing by the largest magnitude first keeps the squares of huge and of tiny vectors finite; zero stays zero.
    """
    largest = mx.abs(y).max(axis=-1, keepdims=True)
    safe = mx.where(largest > 0, largest, 1.0)
    y = y / safe
    rms = mx.sqrt(mx.square(y).mean(axis=-1, keepdims=True))
    return y / mx.where(rms > 0, rms, 1.0), rms * safe


def alignment(u: mx.array, c: mx.array) -> mx.array:
    """Return ⟨u, c⟩²/⟨c, c⟩ [..., 1], which grows with the cosine between u and c (never negative for nearest c)."""
    return mx.square((u * c).sum(axis=-1, keepdims=True)) / mx.square(c).sum(axis=-1, keepdims=True)


def least_squares(u: mx.array, c: mx.array) -> mx.array:
    """Return the gain ⟨u, c⟩/⟨c, c⟩ [..., 1] that brings c closest to u."""
    return (u * c).sum(axis=-1, keepdims=True) / mx.square(c).sum(axis=-1, keepdims=True)
