"""Queries prepared for a compressed cache: grouped by KV head, and rotated once.

Codes hold keys less their mean μ, so their products with a query lack q·μ. A softmax does not notice a constant that
all scores of a query share: instead of adding q·μ to the many coded tokens, it is as exact to take it from the few
dense ones, and where no token is dense it need not be known at all. Two things do notice, and there it is added back
to the codes: a soft-cap, which is not linear, and learned sinks, whose logits are fixed.
"""

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
        add_to_coded: q·μ [B, Hk, G·L, 1], which the products with codes lack; None where nothing is to be added.
        take_from_dense: the same, taken from the products with dense keys instead; one of the two is None.
        scale: multiplies every product.
        softcap: bound on the size of every score, or None.
        group: G, query heads per KV head.
        length: L.
    """

    plain: mx.array
    rotated: mx.array
    add_to_coded: mx.array | None
    take_from_dense: mx.array | None
    scale: float
    softcap: float | None
    group: int
    length: int

    @classmethod
    def of(
        cls, queries: mx.array, keys: TurboQuantKeysView, scale: float, *, softcap: float | None, shift_invariant: bool
    ) -> Self:
        """Prepare queries [B, Hq, L, D] for these keys.

        Args:
            queries: any float dtype.
            keys: the view that they will meet.
            scale: multiplies every product.
            softcap: bound on the size of every score, or None.
            shift_invariant: whether nothing in the softmax would notice a constant added to all scores of a query.
        """
        batch, heads, length, head_dim = queries.shape
        kv_heads = keys.shape[1]
        if heads % kv_heads or head_dim != keys.shape[3] or batch != keys.shape[0]:
            raise UnsupportedAttentionError(
                f"queries of shape {queries.shape} do not fit keys of shape {keys.shape}: "
                "the query heads must be a multiple of the KV heads, with the same batch and head dimension"
            )
        group = heads // kv_heads
        plain = queries.astype(mx.float32).reshape(batch, kv_heads, group * length, head_dim)
        mean_score = None if keys.mean is None or not keys.packed else plain @ keys.mean.swapaxes(-1, -2)
        return cls(
            plain=plain,
            rotated=keys.codec.rotation.apply(plain) if keys.packed else plain,
            add_to_coded=None if shift_invariant else mean_score,
            take_from_dense=mean_score if shift_invariant else None,
            scale=scale,
            softcap=softcap,
            group=group,
            length=length,
        )

    def scores_of_dense(self, products: mx.array) -> mx.array:
        """Return the scores that products q·k of dense keys [B, Hk, G·L, n] stand for."""
        return self.scores(products if self.take_from_dense is None else products - self.take_from_dense)

    def scores_of_coded(self, products: mx.array) -> mx.array:
        """Return the scores that products q·(k - μ) of coded keys [B, Hk, G·L, n] stand for."""
        return self.scores(products if self.add_to_coded is None else products + self.add_to_coded)

    def scores(self, products: mx.array) -> mx.array:
        """Return the products scaled and, where there is a cap, bent below it."""
        scores = products * self.scale
        return scores if self.softcap is None else mx.tanh(scores / self.softcap) * self.softcap

    def by_head(self, rows: mx.array) -> mx.array:
        """Return rows [B, Hk, G·L, n] as [B, Hk, G, L, n]."""
        return rows.reshape(*rows.shape[:2], self.group, self.length, rows.shape[-1])

    def by_row(self, heads: mx.array) -> mx.array:
        """Return [B, Hk, G, L, n] as rows [B, Hk, G·L, n]."""
        return heads.reshape(*heads.shape[:2], self.group * self.length, heads.shape[-1])
