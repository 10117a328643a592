"""Fused decode attention: kernels that read packed codes, whatever the length of the history.

The history is split among threadgroups; what they found is merged and rotated back by the last of them to finish, or
where none can know that it is the last, by a second launch. Buffers are read at full capacity, so nothing is copied.
"""

from functools import lru_cache

import mlx.core as mx

from tq_core import Code, ScalarCode
from tq_mlx.kernels.launch import Run
from tq_mlx.kernels.tickets import ticket
from tq_mlx.kernels.variant import Variant
from tq_mlx.kernels.work import TUNING, Lengths, Tuning, work_for
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView


def fused_attention(
    variant: Variant,
    queries: mx.array,
    keys: TurboQuantKeysView,
    values: TurboQuantValuesView,
    *,
    scale: float,
    causal: bool,
    run: Run,
    lengths: tuple[Lengths, ...] | None = None,
    tuning: Tuning = TUNING["cuda"],
) -> mx.array:
    """Return softmax(scale · q·k) · v as ``streaming_attention`` does, [B, Hq, L, D] of the queries' dtype.

    Args:
        variant: the kernel that these need.
        queries: [B, Hq, L, D], L up to 8.
        keys: view of [B, Hk, T, D].
        values: view of [B, Hk, T, D].
        scale: multiplies the scores.
        causal: whether the queries are the last L tokens, of which each sees itself and those before it.
        run: what runs a pass.
        lengths: of each row where they differ; none exceeds what the views say.
        tuning: how the work is cut.
    """
    centre, (batch, kv_heads, _, head_dim) = keys.centre, keys.shape
    if lengths is None:
        lengths = ((tokens_of(keys.sink), keys.packed, tokens_of(keys.tail), centre.gone if centre else 0),) * batch
    seed = keys.codec.rotation.seed
    work = work_for(variant, queries.shape, kv_heads, seed, lengths, scale, causal, tuning)
    inputs = [
        queries,
        centre.mean if centre else no_mean(batch, kv_heads, head_dim),
        *arrays_of(keys.code),
        *arrays_of(values.code),
        *arrays_of(centre.deviations if centre else None),
        *dense_arrays(keys.sink, values.sink, variant.dtype),
        *dense_arrays(keys.tail, values.tail, variant.dtype),
        work.numbers,
    ]
    if work.reduce is None:
        return run(work.attend, [*inputs, ticket(work.tickets)])[1]
    (partials,) = run(work.attend, inputs)
    return run(work.reduce, [partials, work.numbers])[0]


def tokens_of(side: mx.array | None) -> int:
    return 0 if side is None else side.shape[2]


def dense_arrays(keys: mx.array | None, values: mx.array | None, dtype: mx.Dtype) -> tuple[mx.array, mx.array]:
    """Return both, or stand-ins that are never read."""
    return (nothing(dtype), nothing(dtype)) if keys is None or values is None else (keys, values)


def arrays_of(code: Code | None) -> tuple[mx.array, mx.array]:
    """Return the words and gains of a code, or stand-ins that are never read."""
    if not isinstance(code, ScalarCode):
        return nothing(mx.uint32), nothing(mx.bfloat16)
    return code.words, code.gain


@lru_cache
def nothing(dtype: mx.Dtype) -> mx.array:
    """Return what stands for an absent [B, H, n, D]; from eight elements on, Metal reads all arrays alike."""
    return mx.zeros((1, 1, 1, 8), dtype=dtype)


@lru_cache(maxsize=16)
def no_mean(batch: int, kv_heads: int, head_dim: int) -> mx.array:
    """Return the mean key [B, Hk, 1, D] of keys that are not centred."""
    return mx.zeros((batch, kv_heads, 1, head_dim))
