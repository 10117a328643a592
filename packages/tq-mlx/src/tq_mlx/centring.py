"""Centring: what is subtracted from keys before they are coded, so that a quantizer sees shorter vectors.

Softmax ignores a constant added to all scores of a query, so the mean key of a head may be left out of every key. But
the mean drifts with the position: behind RoPE, whatever the keys have in common turns slowly. So each block of packed
tokens has its own mean: the mean at the first compression, frozen, plus the block's deviation from it. A deviation is
coded like a key; any vector will do, as long as encoding and attention use the same one.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import mlx.core as mx

from tq_core import Code, Codec
from tq_mlx.means import Means
from tq_mlx.token_chunks import encode_chunks, joined, mean_vector, run_sums

PRIOR = 4
"""Tokens' worth of trust in the overall mean: a block that begins with one token does not take that token's key."""

BLOCKS_STEP = 64
"""Scores are taken of a multiple of this many deviations."""


@dataclass(frozen=True)
class Centre:
    """The vectors that were subtracted from the packed keys of one layer.

    Attributes:
        codec: of the keys, and of the deviations.
        block: tokens that share a deviation; None for the overall mean alone.
        mean: [B, H, 1, D] float32.
        deviations: one per block begun, or None.
        gone: tokens of the first block that were dropped from the front: the packed tokens begin behind them.
    """

    codec: Codec[Any]
    block: int | None
    mean: mx.array
    deviations: Code | None = None
    gone: int = 0

    @classmethod
    def of(cls, keys: mx.array, codec: Codec[Any], block: int | None) -> Self:
        """Return the centre of keys [B, H, T, D] before any token is coded."""
        return cls(codec, block, mean_vector(keys))

    @property
    def blocks(self) -> int:
        """Blocks begun."""
        return self.deviations.tokens if self.deviations else 0

    @property
    def nbytes(self) -> int:
        """Bytes of the mean and the deviations."""
        return self.mean.nbytes + (self.deviations.nbytes if self.deviations else 0)

    def reaching(self, keys: mx.array, start: int, count: int) -> Self:
        """Return the centre with a deviation for every block that the next ``count`` tokens begin.

        Args:
            keys: [B, H, n, D], n at least ``count``: the next tokens, and those that will follow them into a block.
            start: packed tokens so far.
            count: tokens that are about to be coded.

        Raises:
            NonFiniteError: the keys hold NaN or Inf.
        """
        start += self.gone
        if self.block is None or start + count <= self.blocks * self.block:
            return self
        blocks = -(-(start + count) // self.block) - self.blocks
        first = self.blocks * self.block - start
        fresh = keys[..., first : first + blocks * self.block, :]
        sums, tokens = run_sums(fresh, self.block, less=self.mean), fresh.shape[-2]
        counts = mx.minimum(tokens - self.block * mx.arange(blocks), self.block)[:, None]
        begun = encode_chunks(self.codec, sums / (counts + PRIOR))
        # Blocks are few: no spare capacity is worth its upkeep.
        return replace(self, deviations=joined([self.deviations, begun]) if self.deviations else begun)

    def means(self, start: int, count: int) -> Means:
        """Return what is subtracted from the packed tokens start … start + count."""
        if self.block is None or self.deviations is None:
            return Means(self.mean)
        start += self.gone
        first, last = start // self.block, -(-(start + count) // self.block)
        deviations = self.codec.decode(self.deviations.map(lambda array: array[..., first:last, :]))
        return Means(self.mean + deviations, self.block, start % self.block)

    def at(self, start: int, count: int) -> mx.array:
        """Return the same for each token: [B, H, count or 1, D] float32."""
        return self.means(start, count).of(0, count)

    def mean_scores(self, plain: mx.array) -> mx.array:
        """Return q·mean [B, H, rows, 1] for queries [B, H, rows, D]."""
        return plain @ self.mean.swapaxes(-1, -2)

    def deviation_scores(self, rotated: mx.array) -> mx.array | None:
        """Return q·deviation [B, H, rows, n ≥ blocks] for rotated queries [B, H, rows, D], or None without deviations.

        Columns beyond the blocks mean nothing: they keep MLX from compiling the arithmetic anew with every block.
        """
        if not self.deviations:
            return None
        spare = -self.blocks % BLOCKS_STEP
        padded = self.deviations.map(lambda a: mx.pad(a, [(0, 0)] * (a.ndim - 2) + [(0, spare), (0, 0)]))
        return self.codec.rotated_scores(rotated, padded)

    def truncated(self, packed: int) -> Self:
        """Return the centre of the first ``packed`` packed tokens."""
        if self.block is None or self.deviations is None:
            return self
        if not packed:
            return replace(self, deviations=None, gone=0)
        blocks = -(-(self.gone + packed) // self.block)
        return replace(self, deviations=self.deviations.map(lambda array: array[..., :blocks, :]))

    def without_first(self, packed: int) -> Self:
        """Return the centre of the packed tokens behind the first ``packed``."""
        if self.block is None or self.deviations is None:
            return self
        blocks, gone = divmod(self.gone + packed, self.block)
        if blocks == self.blocks:
            return replace(self, deviations=None, gone=0)
        return replace(self, deviations=self.deviations.map(lambda array: array[..., blocks:, :]), gone=gone)
