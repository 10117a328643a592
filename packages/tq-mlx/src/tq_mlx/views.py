"""What update_and_fetch hands to attention: one side of a cache, as it was at that moment.

A view stands where mlx-lm's models expect an array of keys or values. It knows its shape and dtype; the replaced
scaled_dot_product_attention knows what to do with it; anything else that a model tries is refused by name.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Self

import mlx.core as mx

from tq_core import Code, Codec
from tq_mlx.centring import Centre
from tq_mlx.errors import UnsupportedAttentionError


@dataclass
class CodeReads:
    """Counts how often attention read a cache's codes: the proof that the compressed path ran."""

    count: int = 0


class Bypassed:
    """Stands where a model expects an array, and refuses by name what only an array can do."""

    def __getattr__(self, name: str) -> NoReturn:
        raise UnsupportedAttentionError(
            f"a compressed cache's {type(self).__name__} has no {name!r}: this model handles keys and values itself "
            "instead of calling mlx_lm.models.base.scaled_dot_product_attention; leave its cache dense"
        )


@dataclass(frozen=True)
class SegmentsView(Bypassed):
    """One side (keys or values) of the three segments in time order.

    Attributes:
        shape: (B, KV heads, tokens, head_dim) of the dense history that the view stands for.
        dtype: dtype of the dense segments.
        sink: [B, H, n, D] or None.
        code: codes at full buffer capacity, of which the first ``packed`` tokens are live, or None.
        packed: live tokens of the code.
        codec: translates the code.
        centre: what was subtracted from the coded vectors, or None.
        tail: [B, H, n, D] or None.
        reads: the cache's counter, which attention advances.
    """

    shape: tuple[int, int, int, int]
    dtype: mx.Dtype
    sink: mx.array | None
    code: Code | None
    packed: int
    codec: Codec[Any]
    centre: Centre | None
    tail: mx.array | None
    reads: CodeReads = field(compare=False)

    @property
    def ndim(self) -> int:
        """Return 4."""
        return len(self.shape)

    def decode(self) -> mx.array:
        """Return the history as dense vectors [B, H, T, D]: for tests and inspection, never on the decode path."""
        parts: list[mx.array] = []
        if self.sink is not None:
            parts.append(self.sink)
        if self.code is not None and self.packed:
            live = self.codec.decode(self.code)[..., : self.packed, :]
            centred = live if self.centre is None else live + self.centre.at(0, self.packed)
            parts.append(centred.astype(self.dtype))
        if self.tail is not None:
            parts.append(self.tail)
        return mx.concatenate(parts, axis=-2)

    def newest(self, tokens: int) -> Self:
        """Return the view of the newest ``tokens`` tokens."""
        skipped = self.shape[2] - tokens
        sink, left = without_oldest(self.sink, skipped)
        gone = min(left, self.packed)
        code = self.code if self.code is None or not gone else self.code.map(lambda a: a[..., gone:, :])
        centre = self.centre if self.centre is None or not gone else self.centre.without_first(gone)
        tail, _ = without_oldest(self.tail, left - gone)
        shape = (*self.shape[:2], tokens, self.shape[3])
        packed = self.packed - gone
        return replace(self, shape=shape, sink=sink, code=code, packed=packed, centre=centre, tail=tail)


def without_oldest(tokens: mx.array | None, count: int) -> tuple[mx.array | None, int]:
    """Return tokens [B, H, n, D] without the oldest ``count``, or None if none is left, and how many more must go."""
    if tokens is None or count >= tokens.shape[-2]:
        return None, count - (0 if tokens is None else tokens.shape[-2])
    return tokens[..., count:, :], 0


class TurboQuantKeysView(SegmentsView):
    """The keys of a compressed cache."""


class TurboQuantValuesView(SegmentsView):
    """The values of a compressed cache."""
