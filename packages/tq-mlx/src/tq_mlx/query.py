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
        mean_score: q·μ [B, Hk, G·L, 1], which scores of centred keys lack, or None.
        scale: multiplies every score.
        group: G, query heads per KV head.
        length: L.
    """

    plain: mx.array
    rotated: mx.array
    mean_score: mx.array | None
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
        return cls(
            plain=plain,
            rotated=keys.codec.rotation.apply(plain) if keys.packed else plain,
            mean_score=None if keys.mean is None else plain @ keys.mean.swapaxes(-1, -2),
            scale=scale,
            group=group,
            length=length,
        )

    def by_head(self, rows: mx.array) -> mx.array:
        """Return rows [B, Hk, G·L, n] as [B, Hk, G, L, n]."""
        return rows.reshape(*rows.shape[:2], self.group, self.length, rows.shape[-1])

    def by_row(self, heads: mx.array) -> mx.array:
        """Return [B, Hk, G, L, n] as rows [B, Hk, G·L, n]."""
        return heads.reshape(*heads.shape[:2], self.group * self.length, heads.shape[-1])
