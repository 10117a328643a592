"""Streaming attention over a compressed cache: scores and weighted sums straight from the codes.

The query is rotated once, the packed values are summed in rotated space, and the sum is rotated back once. Few queries
take all segments side by side through one softmax; long query blocks take the history piece by piece with an online
softmax (running maximum and sum; Milakov and Gimelshein, arXiv 1805.02867), so that scores of L × T never exist.
This is the reference that every faster path must equal; ``kernels`` takes decode steps on a GPU.
"""

from collections.abc import Sequence

import mlx.core as mx

from tq_mlx.errors import UnsupportedAttentionError
from tq_mlx.kernels.choose import attend_fused
from tq_mlx.masks import LOWEST, Mask
from tq_mlx.pieces import PackedPiece, Piece, split
from tq_mlx.query import Query
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView

MOST_SCORES = 1 << 22
"""Most scores (B · Hq · L · tokens) that exist at a time: 16 MB in float32."""

SHORTEST_PIECE = 64
"""Tokens that a piece of history has at least, however many queries there are."""


def streaming_attention(
    queries: mx.array,
    keys: TurboQuantKeysView,
    values: TurboQuantValuesView,
    *,
    scale: float,
    mask: mx.array | str | None = None,
    sinks: mx.array | None = None,
    softcap: float | None = None,
) -> mx.array:
    """Return softmax(cap(scale · q·k) + mask) · v, with the softmax in float32.

    A query that may attend to no token gets finite numbers that mean nothing (with learned sinks: zeros).

    Args:
        queries: [B, Hq, L, Dk], any float dtype.
        keys: view of [B, Hk, T, Dk] with Hq a multiple of Hk.
        values: view of [B, Hk, T, Dv].
        scale: multiplies the scores.
        mask: None, "causal" (the queries are the last L tokens), or an array that broadcasts to [B, Hq, L, T]:
            boolean (True = attend) or additive.
        sinks: learned sink logits [Hq] that take part in the softmax and carry no value, or None.
        softcap: c > 0 bends every score s to c · tanh(s / c), as Gemma 2 does; None leaves them as they are.

    Returns:
        [B, Hq, L, Dv] of the queries' dtype.

    Raises:
        UnsupportedAttentionError: queries, mask or sinks do not fit the keys, the mask is of an unknown kind, the cap
            is not positive, or there are no keys.
    """
    check(queries, keys, sinks, softcap)
    fused = attend_fused(queries, keys, values, scale=scale, mask=mask, sinks=sinks, softcap=softcap)
    if fused is not None:
        keys.reads.count += 1
        return fused
    invariant = sinks is None and softcap is None
    query = Query.of(queries, keys, scale, softcap=softcap, shift_invariant=invariant)
    masks = Mask.of(mask, query, keys.shape[2])
    longest = max(SHORTEST_PIECE, MOST_SCORES // (queries.size // queries.shape[-1]))
    pieces = list(split(keys, values, longest))
    logits = None if sinks is None else sinks.astype(mx.float32).reshape(1, keys.shape[1], query.group, 1, 1)
    attend = attend_at_once if keys.shape[2] <= longest else attend_online
    dense, rotated = attend(query, masks, pieces, logits)
    parts = [] if dense is None else [dense]
    if rotated is not None:
        keys.reads.count += 1
        parts.append(values.codec.rotation.invert(rotated))
    out = sum(parts[1:], start=parts[0])
    return out.reshape(*queries.shape[:3], values.shape[3]).astype(queries.dtype)


def check(queries: mx.array, keys: TurboQuantKeysView, sinks: mx.array | None, softcap: float | None) -> None:
    if not keys.shape[2]:
        raise UnsupportedAttentionError("the cache is empty: attention needs at least one token")
    if sinks is not None and sinks.shape != (queries.shape[1],):
        raise UnsupportedAttentionError(f"sinks of shape {sinks.shape}: one logit per query head, {queries.shape[1]}")
    if softcap is not None and not softcap > 0:
        raise UnsupportedAttentionError(f"softcap is {softcap}: use a positive number, or None for no cap")


Sums = tuple[mx.array | None, mx.array | None]
"""Weighted sums [B, Hk, G·L, Dv] of dense and of packed values, the latter still rotated; None where there are none."""


def attend_at_once(query: Query, mask: Mask, pieces: Sequence[Piece], sinks: mx.array | None) -> Sums:
    """Put the scores of all pieces side by side through one softmax."""
    columns = [mask.apply(query.by_head(piece.scores(query)), piece.start) for piece in pieces]
    if sinks is not None:
        columns.append(mx.broadcast_to(sinks, (*columns[0].shape[:-1], 1)))
    weights = query.by_row(mx.softmax(mx.concatenate(columns, axis=-1), axis=-1))
    dense, rotated = None, None
    for piece in pieces:
        part = piece.weighted_sum(weights[..., piece.start : piece.start + piece.tokens])
        if isinstance(piece, PackedPiece):
            rotated = plus(rotated, part)
        else:
            dense = plus(dense, part)
    return dense, rotated


def attend_online(query: Query, mask: Mask, pieces: Sequence[Piece], sinks: mx.array | None) -> Sums:
    """Take one piece after the other, keeping each row's maximum score, its sum of weights and its sums of values."""
    rows = query.by_head(query.plain[..., :1])
    maximum = mx.full(rows.shape, LOWEST) if sinks is None else mx.broadcast_to(sinks, rows.shape)
    total = mx.zeros(rows.shape) if sinks is None else mx.ones(rows.shape)
    dense, rotated = None, None
    for piece in pieces:
        scores = mask.apply(query.by_head(piece.scores(query)), piece.start)
        higher = mx.maximum(maximum, scores.max(axis=-1, keepdims=True))
        weights = mx.exp(scores - higher)
        shrink = mx.exp(maximum - higher)
        total = total * shrink + weights.sum(axis=-1, keepdims=True)
        maximum = higher
        part, shrink = piece.weighted_sum(query.by_row(weights)), query.by_row(shrink)
        dense = None if dense is None else dense * shrink
        rotated = None if rotated is None else rotated * shrink
        if isinstance(piece, PackedPiece):
            rotated = plus(rotated, part)
        else:
            dense = plus(dense, part)
        # Without this, MLX may compute the scores of all pieces before it uses any.
        mx.async_eval(total, maximum, *(x for x in (dense, rotated) if x is not None))
    total = query.by_row(total)
    return (None if dense is None else dense / total, None if rotated is None else rotated / total)


def plus(total: mx.array | None, part: mx.array) -> mx.array:
    return part if total is None else total + part
