"""TurboQuant_prod: Lloyd–Max codes and a sign sketch of what they miss (arXiv 2504.19874, algorithm 2).

Of b bits, b − 1 are the mse stage with the paper's gain, and one is QJL's: for the residual r = y − ŷ_mse, the signs of
S r under a Gaussian sketch S. The score q·ŷ_mse + √(π/2)/m · ‖r‖ · ⟨S q, sign(S r)⟩ is unbiased. The price is variance:
times D and relative to ‖q‖²‖y‖², it is 1.5708, 0.5708, 0.1845 and 0.0543 for b = 1..4 (π/2 of the mse stage's D_mse;
the paper's 0.047 for 4 bits is too small). A softmax turns variance into bias, so keys are better served by MseCodec at
the same bits.
"""

from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx

from tq_core.codec import Code, Codec
from tq_core.mse import MseCodec
from tq_core.packing import WORD, check_bits, words_per_vector
from tq_core.parameters import check_count
from tq_core.scalar import GAIN_DTYPE, ScalarCode, normalise
from tq_core.sketch import pack_signs, sketch, sketch_weight, unpack_signs


@dataclass(frozen=True)
class ProdCode(Code):
    """What the two stages store; gain and norm are bfloat16.

    The mse stage: words [..., T, ⌈D·(b−1)/32⌉] (uint32) and gain [..., T, 1], both of width 0 at one bit.
    The residual's sketch: signs [..., T, ⌈m/32⌉] (uint32) and norm [..., T, 1].
    """

    words: mx.array
    gain: mx.array
    signs: mx.array
    norm: mx.array


@dataclass(frozen=True)
class ProdCodec(Codec[ProdCode]):
    """An unbiased codec of 1 to 8 bits per coordinate.

    Attributes:
        bits: b, of which one is the sketch's; with 1 there is no mse stage.
        sketch_rows: m, the number of stored signs; None is D, the paper's choice.
        sketch_seed: names the sketch, as the rotation's seed names the rotation.
    """

    name: ClassVar[str] = "prod"
    code_type: ClassVar[type[Code]] = ProdCode
    bits: int = 4
    sketch_rows: int | None = None
    sketch_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse parameters out of range."""
        super().__post_init__()
        check_bits(self.bits)
        check_count("sketch_seed", self.sketch_seed, 0)
        if self.sketch_rows is not None:
            check_count("sketch_rows", self.sketch_rows, 1, otherwise=", or None for as many as coordinates")

    def bits_per_value(self, head_dim: int) -> float:
        """Return (words + gain of the mse stage + signs + norm) bits / D."""
        words = words_per_vector(head_dim, self.bits - 1) + words_per_vector(self.rows(head_dim), 1)
        numbers = 1 if self.mse_stage is None else 2
        return (WORD * words + 8 * GAIN_DTYPE.size * numbers) / head_dim

    def quantize(self, y: mx.array) -> ProdCode:
        """Code y by the mse stage, then sketch what that misses."""
        stage, head_dim = self.mse_stage, y.shape[-1]
        if stage is None:
            residual = y
            coded = empty_code(y)
        else:
            coded = stage.quantize(y)
            residual = y - stage.dequantize(coded)  # of the gain as stored: its rounding is part of what is sketched
        direction, rms = normalise(residual)
        signs = pack_signs(direction @ self.sketch(head_dim).T)
        norm = (rms * head_dim**0.5).astype(GAIN_DTYPE)
        return ProdCode(head_dim, coded.words, coded.gain, signs, norm)

    def dequantize(self, code: ProdCode) -> mx.array:
        """Return ŷ_mse + √(π/2)/m · ‖r‖ · Sᵀ sign(S r) [..., T, D]."""
        restored = (self.signs(code) * self.weight(code)) @ self.sketch(code.head_dim)
        stage = self.mse_stage
        return restored if stage is None else stage.dequantize(mse_part(code)) + restored

    def rotated_scores(self, q: mx.array, code: ProdCode) -> mx.array:
        """Return the estimates of q·y; S meets the queries once, not every token."""
        sketched = q @ self.sketch(code.head_dim).T
        estimate = (sketched @ self.signs(code).swapaxes(-1, -2)) * self.weight(code).swapaxes(-1, -2)
        stage = self.mse_stage
        return estimate if stage is None else stage.rotated_scores(q, mse_part(code)) + estimate

    def rotated_combine(self, p: mx.array, code: ProdCode) -> mx.array:
        """Return Σ_t p_t ŷ_t; S meets the weighted sum of signs once, not every token."""
        weighted = (p * self.weight(code).swapaxes(-1, -2)) @ self.signs(code)
        restored = weighted @ self.sketch(code.head_dim)
        stage = self.mse_stage
        return restored if stage is None else stage.rotated_combine(p, mse_part(code)) + restored

    @property
    def mse_stage(self) -> MseCodec | None:
        """TurboQuant_mse of b − 1 bits in the paper's own form; None at one bit."""
        if self.bits == 1:
            return None
        return MseCodec(rotation=self.rotation, bits=self.bits - 1, gain="norm", scale_search=False)

    def rows(self, head_dim: int) -> int:
        """Return m for vectors of this dimension."""
        return head_dim if self.sketch_rows is None else self.sketch_rows

    def sketch(self, head_dim: int) -> mx.array:
        """Return S [m, D]."""
        return sketch(self.sketch_seed, self.rows(head_dim), head_dim)

    def signs(self, code: ProdCode) -> mx.array:
        """Return sign(S r) [..., T, m] as ±1, float32."""
        return unpack_signs(code.signs, self.rows(code.head_dim))

    def weight(self, code: ProdCode) -> mx.array:
        """Return √(π/2)/m · ‖r‖ [..., T, 1], float32."""
        return code.norm.astype(mx.float32) * sketch_weight(self.rows(code.head_dim))


def mse_part(code: ProdCode) -> ScalarCode:
    """Return what the mse stage stored."""
    return ScalarCode(code.head_dim, code.words, code.gain)


def empty_code(y: mx.array) -> ScalarCode:
    """Return a code of y that stores nothing: arrays of width 0."""
    shape = (*y.shape[:-1], 0)
    return ScalarCode(y.shape[-1], mx.zeros(shape, dtype=mx.uint32), mx.zeros(shape, dtype=GAIN_DTYPE))
