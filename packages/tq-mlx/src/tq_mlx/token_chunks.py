"""A chunk of tokens at a time: what a long history needs beside itself while it is checked, averaged and encoded.

Encoding takes about ten float32 copies of what it encodes. A chunk bounds them, however long the history is.
"""

from collections.abc import Iterator
from typing import Any

import mlx.core as mx

from tq_core import Code, Codec

MOST_VALUES = 1 << 19
"""Values of one side (B · H · tokens · D) in a chunk: 2 MB in float32."""

SHORTEST_CHUNK = 64
"""Tokens that a chunk has at least, however many rows and heads there are."""


def token_chunks(x: mx.array) -> Iterator[mx.array]:
    """Yield x [B, H, T, D] in runs of tokens, without copying."""
    tokens = x.shape[-2]
    chunk = max(SHORTEST_CHUNK, MOST_VALUES // (x.size // tokens)) if x.size else 1
    for first in range(0, tokens, chunk):
        yield x[..., first : first + chunk, :]


def mean_vector(x: mx.array) -> mx.array:
    """Return the mean [B, H, 1, D] (float32) of the vectors x [B, H, T, D]."""
    total = mx.zeros((*x.shape[:-2], 1, x.shape[-1]))
    for chunk in token_chunks(x):
        total = total + chunk.astype(mx.float32).sum(axis=-2, keepdims=True)
        mx.async_eval(total)
    return total / x.shape[-2]


def encode_chunks(codec: Codec[Any], x: mx.array, mean: mx.array | None) -> Code:
    """Return the code of the vectors x [B, H, T, D] less their mean: the same as of all at once.

    Raises:
        NonFiniteError: x holds NaN or Inf.
    """
    codes: list[Code] = []
    for chunk in token_chunks(x):
        if codes:  # the earlier chunk's temporaries are freed first; a single chunk is left to whoever reads it
            mx.eval(codes[-1].arrays())
        codes.append(codec.encode(chunk if mean is None else chunk.astype(mx.float32) - mean))
    if len(codes) == 1:
        return codes[0]
    names = codes[0].arrays()
    joined = {name: mx.concatenate([code.arrays()[name] for code in codes], axis=-2) for name in names}
    return codec.code_from(x.shape[-1], joined)
