"""A chunk of tokens at a time: what a long history needs beside itself while it is checked, averaged and encoded.

Encoding with the scale search takes up to sixty float32 copies of what it encodes (measured on MLX's CPU backend, which
allocates ahead of its work). A chunk bounds them, however long the history is. A fused kernel copies nothing: it takes
all tokens at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx

from tq_core import Code, Codec
from tq_mlx.kernels.encode import encode_fused
from tq_mlx.means import Means
from tq_mlx.segments import round_up

MOST_VALUES = 1 << 18
"""Values of one side (B · H · tokens · D) in a chunk: 1 MB in float32."""

RUN = 64
"""A chunk is a multiple of this many tokens where nobody asks for another one."""


def token_chunks(x: mx.array, run: int = RUN) -> Iterator[mx.array]:
    """Yield x [B, H, T, D] in chunks of about equally many tokens, a multiple of ``run`` each, without copying."""
    tokens = x.shape[-2]
    if not x.size:
        return
    most = max(run, MOST_VALUES // (x.size // tokens) // run * run)
    chunk = round_up(-(-tokens // -(-tokens // most)), run)
    for first in range(0, tokens, chunk):
        yield x[..., first : first + chunk, :]


def run_sums(x: mx.array, run: int, less: mx.array | None = None) -> mx.array:
    """Return the sums [B, H, ⌈T/run⌉, D] (float32) of the runs of tokens of x [B, H, T, D], each vector ``less`` one.

    A sum depends to the last bit on its own run alone: not on the size of a chunk, nor on the other rows.
    """
    sums: list[mx.array] = []
    for chunk in token_chunks(x, run):
        vectors = chunk.astype(mx.float32)
        vectors = vectors if less is None else vectors - less
        padding = (0, round_up(chunk.shape[-2], run) - chunk.shape[-2])
        padded = mx.pad(vectors, [(0, 0), (0, 0), padding, (0, 0)])
        sums.append(padded.reshape(*x.shape[:2], -1, run, x.shape[-1]).sum(axis=-2))
        mx.async_eval(sums[-1])
    return mx.concatenate(sums, axis=-2)


def mean_vector(x: mx.array) -> mx.array:
    """Return the mean [B, H, 1, D] (float32) of the vectors x [B, H, T, D]."""
    return run_sums(x, RUN).sum(axis=-2, keepdims=True) / x.shape[-2]


def encode_chunks(codec: Codec[Any], x: mx.array, less: Means | None = None) -> Code:
    """Return the code of the vectors x [B, H, T, D]: the same as of all at once.

    A dense rotation is the exception: BLAS may round the product of fewer rows otherwise in the last bit.

    Args:
        codec: encodes.
        x: the vectors, of any float dtype.
        less: what to subtract from the vectors first.

    Raises:
        NonFiniteError: x holds NaN or Inf.
    """
    fused = encode_fused(codec, x, less)
    if fused is not None:
        return fused
    codes, first = list[Code](), 0
    for chunk in token_chunks(x):
        if codes:  # the earlier chunk's temporaries are freed first; a single chunk is left to whoever reads it
            mx.eval(codes[-1].arrays())
        count = chunk.shape[-2]
        codes.append(codec.encode(chunk if less is None else chunk.astype(mx.float32) - less.of(first, count)))
        first += count
    return joined(codes)


def joined(codes: Sequence[Code]) -> Code:
    """Return one code of the tokens of several, in their order and without spare capacity."""
    if len(codes) == 1:
        return codes[0]
    parts = [code.arrays() for code in codes]
    return replace(codes[0], **{name: mx.concatenate([part[name] for part in parts], axis=-2) for name in parts[0]})
