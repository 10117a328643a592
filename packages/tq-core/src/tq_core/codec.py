"""What a codec is: five abilities over packed codes of vectors.

``encode`` and ``decode`` translate; ``scores`` and ``combine`` are the two matrix products of attention, taken over the
codes themselves; ``bits_per_value`` is the price. A codec holds only numbers, so it can be compared, hashed and written
down; the arrays live in the frozen ``Code``.

Everything behind the rotation happens in rotated space: attention rotates a query once with ``rotation.apply``, calls
``rotated_scores`` and ``rotated_combine`` on as many pieces of history as it likes, and rotates the sum back once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Generic, Self, TypeVar, cast

import mlx.core as mx

from tq_core.errors import NonFiniteError
from tq_core.parameters import check_type
from tq_core.rotation import Hadamard, Rotation


@dataclass(frozen=True)
class Code:
    """Packed codes of T vectors per head: arrays of shape [..., T, width], and the head dimension they stand for."""

    head_dim: int

    def arrays(self) -> dict[str, mx.array]:
        """Return the arrays by field name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "head_dim"}

    def map(self, change: Callable[[mx.array], mx.array]) -> Self:
        """Return the code with ``change`` applied to each array."""
        return replace(self, **{name: change(array) for name, array in self.arrays().items()})

    @property
    def tokens(self) -> int:
        """T: the number of vectors per head."""
        return next(iter(self.arrays().values())).shape[-2]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())


C = TypeVar("C", bound=Code)

DEFAULT_ROTATION = Hadamard(seed=0)

LARGEST = 1e34
"""Largest rotated coordinate: the sums of D such numbers, on the way back too, stay finite in float32."""


@dataclass(frozen=True)
class Codec(ABC, Generic[C]):
    """A vector quantizer: a rotation and what is done behind it."""

    name: ClassVar[str]
    code_type: ClassVar[type[Code]]
    rotation: Rotation = DEFAULT_ROTATION

    def __post_init__(self) -> None:
        """Refuse a rotation that is none."""
        check_type("rotation", self.rotation, Rotation)

    @property
    def label(self) -> str:
        """The codec in two words: its name and, where it has such a number, its bits."""
        bits = getattr(self, "bits", None)
        return self.name if bits is None else f"{self.name} {bits}"

    def encode(self, x: mx.array) -> C:
        """Return the code of the vectors x [..., T, D], of any float dtype.

        Raises:
            NonFiniteError: x holds NaN or Inf, or is too large to be rotated in float32 (this evaluates x).
            UnsupportedHeadDimError: the rotation or the packing does not serve D.
        """
        self.check(x.shape[-1])
        y = self.rotation.apply(x.astype(mx.float32))
        if not (mx.abs(y) <= LARGEST).all().item():  # NaN compares false
            check_finite(x)
            raise NonFiniteError(f"rotated, the vectors exceed {LARGEST}: nothing was encoded; scale them down")
        return self.quantize(y)

    def code_from(self, head_dim: int, arrays: Mapping[str, mx.array]) -> C:
        """Return the code that ``Code.arrays`` took apart."""
        return cast("type[C]", self.code_type)(head_dim, **arrays)

    def decode(self, code: C) -> mx.array:
        """Return the vectors x̂ [..., T, D] that the code stands for, float32."""
        return self.rotation.invert(self.dequantize(code))

    def scores(self, q: mx.array, code: C) -> mx.array:
        """Return q·x̂ [..., M, T] for queries q [..., M, D], float32."""
        return self.rotated_scores(self.rotation.apply(q.astype(mx.float32)), code)

    def combine(self, p: mx.array, code: C) -> mx.array:
        """Return Σ_t p_t x̂_t [..., M, D] for weights p [..., M, T], float32."""
        return self.rotation.invert(self.rotated_combine(p.astype(mx.float32), code))

    def check(self, head_dim: int) -> None:
        """Raise UnsupportedHeadDimError unless vectors of this dimension can be encoded."""
        self.rotation.check(head_dim)

    @abstractmethod
    def bits_per_value(self, head_dim: int) -> float:
        """Return the stored bits per value, everything included."""

    @abstractmethod
    def quantize(self, y: mx.array) -> C:
        """Return the code of the rotated vectors y [..., T, D], float32 and finite."""

    @abstractmethod
    def dequantize(self, code: C) -> mx.array:
        """Return the rotated vectors ŷ [..., T, D], float32."""

    def decodes(self, rows: int, code: C) -> bool:
        """Return whether scores or sums of so many rows hold all of the code's vectors decoded for a moment.

        Then it is up to the caller to hand over as much of a history at a time as may exist.
        """
        return True

    def rotated_scores(self, q: mx.array, code: C) -> mx.array:
        """Return q·ŷ [..., M, T] for rotated queries q [..., M, D], float32."""
        return q @ self.dequantize(code).swapaxes(-1, -2)

    def rotated_combine(self, p: mx.array, code: C) -> mx.array:
        """Return Σ_t p_t ŷ_t [..., M, D], still rotated, for weights p [..., M, T], float32."""
        return p @ self.dequantize(code)


def check_finite(x: mx.array) -> None:
    """Raise NonFiniteError if x holds NaN or Inf; evaluates x."""
    if not mx.isfinite(x).all().item():
        bad = (~mx.isfinite(x)).sum().item()
        raise NonFiniteError(
            f"{bad} of {x.size} elements (shape {x.shape}, {x.dtype}) are NaN or Inf: nothing was encoded; "
            "run the model in bfloat16 or float32 if float16 overflowed"
        )
