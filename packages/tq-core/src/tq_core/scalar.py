"""What the scalar codecs share: one code per rotated coordinate and one gain per vector (or per group of coordinates).

A vector y is normalised to unit mean square, u = y √D / ‖y‖, each coordinate is rounded to a codebook for N(0, 1), and
the gain scales the centroids c back: ŷ = gain · c. The paper's gain is ‖y‖/√D. The least-squares gain
⟨u, c⟩/⟨c, c⟩ · ‖y‖/√D is never worse in D_mse, but it shortens every vector by a factor 1 − D_mse, which lowers all
scores together; the norm-preserving gain ‖y‖/‖c‖ does not, errs by D_mse²/4 more, and moves predictions less. The scale
search tries several input scales and keeps the one whose centroids point closest to u. All share one format.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, get_args

import mlx.core as mx

from tq_core.codec import Code, Codec
from tq_core.errors import InvalidCodecError, UnsupportedHeadDimError
from tq_core.packing import WORD, check_bits, pack, unpack_bytes, words_per_vector
from tq_core.parameters import check_count, check_type

Gain = Literal["norm", "least_squares", "norm_preserving"]

SEARCH_SCALES = (0.80, 0.85, 0.90, 0.95, 1.06, 1.12, 1.18, 1.25)
"""Input scales that the search tries besides 1."""

GAIN_DTYPE = mx.bfloat16
"""Norms of real keys overflow float16."""


@dataclass(frozen=True)
class ScalarCode(Code):
    """Words [..., T, ⌈D·b/32⌉] (uint32) of the coordinates' codes and the gains [..., T, G] (bfloat16)."""

    words: mx.array
    gain: mx.array


@dataclass(frozen=True)
class ScalarCodec(Codec[ScalarCode]):
    """A codec of one b-bit code per rotated coordinate and one gain per ``gain_group`` of them (None: per vector)."""

    code_type: ClassVar[type[Code]] = ScalarCode
    bits: int = 4
    gain: Gain = "least_squares"
    scale_search: bool = True
    gain_group: int | None = None

    def __post_init__(self) -> None:
        """Refuse parameters out of range or at odds."""
        super().__post_init__()
        check_bits(self.bits)
        check_type("scale_search", self.scale_search, bool)
        if self.gain not in get_args(Gain):
            raise InvalidCodecError(f"gain is {self.gain!r}: use one of {', '.join(get_args(Gain))}")
        if self.scale_search and self.gain == "norm":
            raise InvalidCodecError(
                "scale_search with gain 'norm' would rescale nothing back: use gain 'norm_preserving'"
            )
        if self.gain_group is not None:
            check_count("gain_group", self.gain_group, 1, otherwise=", or None for the whole vector")

    @abstractmethod
    def nearest(self, u: mx.array) -> mx.array:
        """Return the code (uint32) of the nearest centroid of each element of u."""

    @abstractmethod
    def round(self, u: mx.array) -> mx.array:
        """Return the nearest centroid of each element of u, float32."""

    @abstractmethod
    def points(self, codes: mx.array) -> mx.array:
        """Return the centroid of each code (uint8), float32."""

    def check(self, head_dim: int) -> None:
        super().check(head_dim)
        if self.gain_group is not None and head_dim % self.gain_group:
            raise UnsupportedHeadDimError(f"head_dim {head_dim} is no multiple of gain_group {self.gain_group}")

    def bits_per_value(self, head_dim: int) -> float:
        """Return (words + gains) bits / D."""
        stored = WORD * words_per_vector(head_dim, self.bits) + 8 * GAIN_DTYPE.size * self.gains(head_dim)
        return stored / head_dim

    def gains(self, head_dim: int) -> int:
        """Return G, the number of gains per vector."""
        return 1 if self.gain_group is None else head_dim // self.gain_group

    def quantize(self, y: mx.array) -> ScalarCode:
        """Round the normalised coordinates and fit the gain, in each group by itself."""
        u, gain = normalise(grouped(y, self.gains(y.shape[-1])))
        scaled = u
        if self.gain != "norm":
            scale, dot, square = self.best_fit(u)
            scaled = u * scale
            gain = gain * (dot / square if self.gain == "least_squares" else mx.sqrt(sum_of_squares(u) / square))
        codes = self.nearest(scaled).reshape(y.shape)
        return ScalarCode(y.shape[-1], pack(codes, self.bits), gain[..., 0].astype(GAIN_DTYPE))

    def dequantize(self, code: ScalarCode) -> mx.array:
        """Return gain · centroid [..., T, D]."""
        return spread(self.decoded_points(code), code.gain.astype(mx.float32))

    def rotated_scores(self, q: mx.array, code: ScalarCode) -> mx.array:
        """Return q·ŷ [..., M, T]; one gain per vector is multiplied onto its score, not onto its coordinates."""
        if code.gain.shape[-1] != 1:
            return super().rotated_scores(q, code)
        return (q @ self.decoded_points(code).swapaxes(-1, -2)) * code.gain.astype(mx.float32).swapaxes(-1, -2)

    def rotated_combine(self, p: mx.array, code: ScalarCode) -> mx.array:
        """Return Σ_t p_t ŷ_t [..., M, D]; one gain per vector is multiplied onto its weight."""
        if code.gain.shape[-1] != 1:
            return super().rotated_combine(p, code)
        return (p * code.gain.astype(mx.float32).swapaxes(-1, -2)) @ self.decoded_points(code)

    def decoded_points(self, code: ScalarCode) -> mx.array:
        """Return the centroids [..., T, D] of the code, without their gain."""
        return self.points(unpack_bytes(code.words, self.bits, code.head_dim))

    def best_fit(self, u: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        """Return the input scale whose centroids c have the largest cosine to u, ⟨u, c⟩ and ⟨c, c⟩, [..., 1] each."""
        if not u.size:  # MLX refuses the best of nothing
            none = mx.zeros((*u.shape[:-1], 1))
            return none, none, none
        scales = (1.0, *SEARCH_SCALES) if self.scale_search else (1.0,)
        terms = [alignment_terms(self)(u, mx.array(scale)) for scale in scales]
        dots = mx.concatenate([dot.sum(axis=-1, keepdims=True) for dot, _ in terms], axis=-1)
        squares = mx.concatenate([square.sum(axis=-1, keepdims=True) for _, square in terms], axis=-1)
        best = mx.argmax(mx.square(dots) / squares, axis=-1, keepdims=True)
        scale = mx.take(mx.array(scales), best)
        return scale, mx.take_along_axis(dots, best, axis=-1), mx.take_along_axis(squares, best, axis=-1)


@lru_cache(maxsize=64)
def alignment_terms(codec: ScalarCodec) -> Callable[[mx.array, mx.array], tuple[mx.array, mx.array]]:
    """Return the function (u, scale) → u·c and c² of each coordinate, c being the centroid nearest to scale · u."""

    def terms(u: mx.array, scale: mx.array) -> tuple[mx.array, mx.array]:
        c = codec.round(u * scale)
        return u * c, mx.square(c)

    return mx.compile(terms, shapeless=True)


def grouped(y: mx.array, groups: int) -> mx.array:
    """Return y [..., D] in equal groups [..., G, D/G]."""
    return y.reshape(*y.shape[:-1], groups, y.shape[-1] // groups)


def spread(values: mx.array, gain: mx.array) -> mx.array:
    """Return values [..., D], each multiplied with the gain [..., G] of its group."""
    return (grouped(values, gain.shape[-1]) * gain[..., None]).reshape(values.shape)


def normalise(y: mx.array) -> tuple[mx.array, mx.array]:
    """Return y scaled to unit mean square along the last axis, and the scale [..., 1] that undoes it.

    Dividing by the largest magnitude first keeps the squares of huge and of tiny vectors finite; zero stays zero.
    """
    largest = mx.abs(y).max(axis=-1, keepdims=True)
    safe = mx.where(largest > 0, largest, 1.0)
    y = y / safe
    rms = mx.sqrt(mx.square(y).mean(axis=-1, keepdims=True))
    return y / mx.where(rms > 0, rms, 1.0), rms * safe


def sum_of_squares(u: mx.array) -> mx.array:
    """Return ⟨u, u⟩ [..., 1]."""
    return mx.square(u).sum(axis=-1, keepdims=True)
