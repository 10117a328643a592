"""Pieces of a compressed history: runs of tokens of one segment that attention takes at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from tq_core import Code, Codec
from tq_mlx.decoded_runs import runs_of, settled
from tq_mlx.query import Query
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView


@dataclass(frozen=True)
class DensePiece:
    """Tokens of the sink or the tail: keys and values [B, H, n, D] from position ``start`` on."""

    start: int
    keys: mx.array
    values: mx.array

    @property
    def tokens(self) -> int:
        """Return n."""
        return self.keys.shape[-2]

    def scores(self, query: Query) -> mx.array:
        """Return the scores [B, H, rows, n] of the query, float32."""
        return query.scores_of_dense(query.plain @ self.keys.astype(mx.float32).swapaxes(-1, -2))

    def weighted_sum(self, weights: mx.array) -> mx.array:
        """Return Σ p·v [B, H, rows, D], float32."""
        return weights @ self.values.astype(mx.float32)


@dataclass(frozen=True)
class PackedPiece:
    """Coded tokens from position ``start`` on; the codes may hold more than the ``tokens`` that are live.

    Attributes:
        first: index among the packed tokens.
    """

    start: int
    first: int
    tokens: int
    keys: Code
    values: Code
    key_codec: Codec[Any]
    value_codec: Codec[Any]

    def scores(self, query: Query) -> mx.array:
        """Return the scores [B, H, rows, tokens] of the query, float32."""
        runs = runs_of(self.keys, self.tokens, self.key_codec, query.rotated.shape[-2])
        products = [settled(self.key_codec.rotated_scores(query.rotated, run), runs) for run in runs]
        joined = products[0] if len(products) == 1 else mx.concatenate(products, axis=-1)
        return query.scores_of_coded(joined[..., : self.tokens], self.first)

    def weighted_sum(self, weights: mx.array) -> mx.array:
        """Return Σ p·v [B, H, rows, D], float32, still rotated."""
        runs = runs_of(self.values, self.tokens, self.value_codec, weights.shape[-2])
        spare = sum(run.tokens for run in runs) - self.tokens
        if spare:  # taking codes in whole growth steps copies and compiles less; the spare ones weigh nothing
            weights = mx.pad(weights, [(0, 0)] * (weights.ndim - 1) + [(0, spare)])
        total, first = mx.array(0.0), 0
        for run in runs:
            part = self.value_codec.rotated_combine(weights[..., first : first + run.tokens], run)
            total = settled(total + part if first else part, runs)
            first += run.tokens
        return total


Piece = DensePiece | PackedPiece


def split(keys: TurboQuantKeysView, values: TurboQuantValuesView, longest: int) -> Iterator[Piece]:
    """Yield the history in time order, in pieces of at most ``longest`` tokens."""
    start = 0
    if keys.sink is not None and values.sink is not None:
        yield from split_dense(start, keys.sink, values.sink, longest)
        start += keys.sink.shape[-2]
    if keys.code is not None and values.code is not None and keys.packed:
        yield from split_packed(start, keys, values, longest)
        start += keys.packed
    if keys.tail is not None and values.tail is not None:
        yield from split_dense(start, keys.tail, values.tail, longest)


def split_dense(start: int, keys: mx.array, values: mx.array, longest: int) -> Iterator[DensePiece]:
    for first in range(0, keys.shape[-2], longest):
        run = slice(first, first + longest)
        yield DensePiece(start + first, keys[..., run, :], values[..., run, :])


def split_packed(
    start: int, keys: TurboQuantKeysView, values: TurboQuantValuesView, longest: int
) -> Iterator[PackedPiece]:
    key_code, value_code = keys.code, values.code
    if key_code is None or value_code is None:
        return
    if keys.packed <= longest:
        yield PackedPiece(start, 0, keys.packed, key_code, value_code, keys.codec, values.codec)
        return
    for first in range(0, keys.packed, longest):
        last = min(first + longest, keys.packed)
        run = [code.map(lambda a, f=first, n=last: a[..., f:n, :]) for code in (key_code, value_code)]
        yield PackedPiece(start + first, first, last - first, run[0], run[1], keys.codec, values.codec)
