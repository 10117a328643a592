"""Vectors that are subtracted from tokens before they are coded: one from all of them, or one from every block."""

from dataclasses import dataclass

import mlx.core as mx


@dataclass(frozen=True)
class Means:
    """What is subtracted from some tokens.

    Attributes:
        vectors: [B, H, n, D] float32.
        block: tokens that share a vector; None: all share the only one.
        gone: tokens of the first block that lie before the first token.
    """

    vectors: mx.array
    block: int | None = None
    gone: int = 0

    def of(self, first: int, count: int) -> mx.array:
        """Return what is subtracted from the tokens first … first + count: [B, H, count or 1, D] float32."""
        if self.block is None:
            return self.vectors
        first += self.gone
        blocks = self.vectors[..., first // self.block : -(-(first + count) // self.block), :]
        return mx.repeat(blocks, self.block, axis=-2)[..., first % self.block :, :][..., :count, :]
