"""Queries prepared for a compressed cache: grouped by KV head, and rotated once."""

from dataclasses import dataclass
from typing import Self

import mlx.core as mx

from tq_mlx.errors import UnsupportedAttentionError
from tq_mlx.views import TurboQuantKeysView


@dataclass(frozen=True)
class Query:
    """Queries [B, Hq, L, D] as [B, Hk, G·L, D], so that the heads of a group read each key once; float32.

    Attributes:
        plain: for dense keys.
        rotated: for codes, which live behind the rotation.
        centre_scores: q·centre [B, Hk, G·L, blocks or 1], which scores of centred keys lack, or None.
        block: packed tokens that share one of them; None where all do.
        scale: multiplies every score.
        group: G, query heads per KV head.
        length: L.
    """

    plain: mx.array
    rotated: mx.array
    centre_scores: mx.array | None
    block: int | None
    scale: float
    group: int
    length: int

    @classmethod
    def of(cls, queries: mx.array, keys: TurboQuantKeysView, scale: float) -> Self:
        """Prepare queries [B, Hq, L, D] for these keys."""
        batch, heads, length, head_dim = queries.shape
        kv_heads = keys.shape[1]
        if heads % kv_heads or head_dim != keys.shape[3]:
            raise UnsupportedAttentionError(
                f"queries of shape {queries.shape} do not fit keys of shape {keys.shape}: "
                "the query heads must be a multiple of the KV heads, with the same head dimension"
            )
        group = heads // kv_heads
        plain = queries.astype(mx.float32).reshape(batch, kv_heads, group * length, head_dim)
        rotated, centre = (keys.codec.rotation.apply(plain) if keys.packed else plain), keys.centre
        return cls(
            plain=plain,
            rotated=rotated,
            centre_scores=centre.scores(plain, rotated) if centre and keys.packed else None,
            block=centre.block if centre else None,
            scale=scale,
            group=group,
            length=length,
        )

    def centre_at(self, first: int, tokens: int) -> mx.array | None:
        """Return q·centre [B, Hk, G·L, tokens or 1] of that many packed tokens from ``first`` on, or None."""
        if self.centre_scores is None or self.block is None:
            return self.centre_scores
        begin, end = first // self.block, -(-(first + tokens) // self.block)
        wide = mx.repeat(self.centre_scores[..., begin:end], self.block, axis=-1)
        return wide[..., first - begin * self.block :][..., :tokens]

    def by_head(self, rows: mx.array) -> mx.array:
        """Return rows [B, Hk, G·L, n] as [B, Hk, G, L, n]."""
        return rows.reshape(*rows.shape[:2], self.group, self.length, rows.shape[-1])

    def by_row(self, heads: mx.array) -> mx.array:
        """Return [B, Hk, G, L, n] as rows [B, Hk, G·L, n]."""
        return heads.reshape(*heads.shape[:2], self.group * self.length, heads.shape[-1])
