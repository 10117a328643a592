"""Attention masks in every form that mlx-lm's models use, one run of tokens at a time."""

from dataclasses import dataclass
from typing import Self

import mlx.core as mx

from tq_mlx.errors import UnsupportedAttentionError
from tq_mlx.query import Query

LOWEST = -3.4028235e38
"""Score of a masked token: finite, so that a row in which every token is masked stays finite too."""


@dataclass(frozen=True)
class Mask:
    """A mask for queries [B, Hk, G, L] over T tokens: none, causal, boolean (True = attend) or additive."""

    array: mx.array | None  # broadcasts to [B, Hk, G, L, T]
    causal: bool
    length: int
    tokens: int

    @classmethod
    def of(cls, mask: mx.array | str | None, query: Query, tokens: int) -> Self:
        """Read the mask argument of scaled_dot_product_attention."""
        if mask is None:
            return cls(None, causal=False, length=query.length, tokens=tokens)
        if isinstance(mask, str):
            if mask != "causal":
                raise UnsupportedAttentionError(f"mask {mask!r} is not known: use 'causal', an array or None")
            return cls(None, causal=True, length=query.length, tokens=tokens)
        return cls(five_axes(mask, query, tokens), causal=False, length=query.length, tokens=tokens)

    def apply(self, scores: mx.array, start: int) -> mx.array:
        """Return scores [B, Hk, G, L, n] of the tokens from position ``start`` on with the mask applied."""
        stop = start + scores.shape[-1]
        if self.causal:
            first_query = self.tokens - self.length
            if stop <= first_query + 1:
                return scores
            positions = mx.arange(first_query, self.tokens)[:, None]
            return mx.where(positions >= mx.arange(start, stop), scores, LOWEST)
        if self.array is None:
            return scores
        part = self.array if self.array.shape[-1] == 1 else self.array[..., start:stop]
        if part.dtype == mx.bool_:
            return mx.where(part, scores, LOWEST)
        return mx.maximum(scores + part.astype(mx.float32), LOWEST)


def five_axes(mask: mx.array, query: Query, tokens: int) -> mx.array:
    """Return a mask that broadcasts to [B, Hq, L, T] with its head axis split as [Hk, G].

    Raises:
        UnsupportedAttentionError: it does not broadcast to that shape, or is neither boolean nor of a float dtype.
    """
    batch, kv_heads = query.plain.shape[:2]
    scores = (batch, kv_heads * query.group, query.length, tokens)
    sizes = (1,) * (4 - mask.ndim) + mask.shape
    if len(sizes) != 4 or any(size not in (1, full) for size, full in zip(sizes, scores, strict=True)):
        raise UnsupportedAttentionError(f"a mask of shape {mask.shape} does not broadcast to scores of shape {scores}")
    if mask.dtype != mx.bool_ and not mx.issubdtype(mask.dtype, mx.floating):
        raise UnsupportedAttentionError(f"a mask of {mask.dtype}: use booleans (True = attend) or floats to be added")
    heads = (1, 1) if sizes[1] == 1 else (kv_heads, query.group)
    return mask.reshape(sizes[0], *heads, *sizes[2:])
