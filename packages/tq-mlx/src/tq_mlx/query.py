"""Queries prepared for a compressed cache: grouped by KV head, and rotated once.

Codes hold keys less their centre, a mean and a block's deviation from it, so their products with a query lack q·centre.
A softmax does not notice a constant that all scores of a query share: instead of adding q·mean to the coded tokens, it
is as exact, and kinder to float32, to take it from the few dense ones; where no token is dense it is left out. Two
things do notice, and there it is added: a soft-cap, which is not linear, and learned sinks, whose logits are fixed.
What differs between blocks is always added.
"""

from dataclasses import dataclass
from typing import Self

import mlx.core as mx

from tq_mlx.errors import UnsupportedAttentionError
from tq_mlx.views import TurboQuantKeysView


@dataclass(frozen=True)
class Query:
    """Queries [B, Hq, L, D] as [B, Hk, G·L, D], so that the heads of a group read each key once; float32, scaled.

    Attributes:
        plain: for dense keys.
        rotated: for codes, which live behind the rotation.
        add_to_coded: what products with codes lack [B, Hk, G·L, blocks or 1], or None.
        block: packed tokens that share one of its columns; None where all do.
        gone: tokens of the first block before the first packed one.
        take_from_dense: what products with dense keys are to lack as well [B, Hk, G·L, 1], or None.
        softcap: bound on the size of every score, or None.
        group: G, query heads per KV head.
        length: L.
    """

    plain: mx.array
    rotated: mx.array
    add_to_coded: mx.array | None
    block: int | None
    gone: int
    take_from_dense: mx.array | None
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
        plain = (queries.astype(mx.float32) * scale).reshape(batch, kv_heads, group * length, head_dim)
        rotated = keys.codec.rotation.apply(plain) if keys.packed else plain
        centre = keys.centre if keys.packed else None
        by_block, constant = (centre.deviation_scores(rotated), centre.mean_scores(plain)) if centre else (None, None)
        if not shift_invariant and constant is not None:
            by_block, constant = (constant if by_block is None else by_block + constant), None
        return cls(
            plain=plain,
            rotated=rotated,
            add_to_coded=by_block,
            block=centre.block if centre else None,
            gone=centre.gone if centre else 0,
            take_from_dense=constant,
            softcap=softcap,
            group=group,
            length=length,
        )

    def scores_of_dense(self, products: mx.array) -> mx.array:
        """Return the scores of dense keys from their products q·k [B, Hk, G·L, n]."""
        return self.scores(products if self.take_from_dense is None else products - self.take_from_dense)

    def scores_of_coded(self, products: mx.array, first: int) -> mx.array:
        """Return the scores of packed tokens from ``first`` on from their products q·(k - centre) [B, Hk, G·L, n]."""
        lacking = self.add_to_coded
        if lacking is not None and self.block is not None:
            lacking = self.spread(lacking, self.block, self.gone + first, products.shape[-1])
        return self.scores(products if lacking is None else products + lacking)

    def spread(self, by_block: mx.array, block: int, first: int, tokens: int) -> mx.array:
        """Return [B, Hk, G·L, tokens] for tokens from ``first`` on, from a column per block of tokens."""
        begin, end = first // block, -(-(first + tokens) // block)
        wide = mx.repeat(by_block[..., begin:end], block, axis=-1)
        return wide[..., first - begin * block :][..., :tokens]

    def scores(self, products: mx.array) -> mx.array:
        """Return the products, bent below the cap where there is one."""
        return products if self.softcap is None else mx.tanh(products / self.softcap) * self.softcap

    def by_head(self, rows: mx.array) -> mx.array:
        """Return rows [B, Hk, G·L, n] as [B, Hk, G, L, n]."""
        return rows.reshape(*rows.shape[:2], self.group, self.length, rows.shape[-1])

    def by_row(self, heads: mx.array) -> mx.array:
        """Return [B, Hk, G, L, n] as rows [B, Hk, G·L, n]."""
        return heads.reshape(*heads.shape[:2], self.group * self.length, heads.shape[-1])
