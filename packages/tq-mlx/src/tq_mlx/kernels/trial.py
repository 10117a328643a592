"""A kernel's first use: a small history on which it must agree with plain attention over the decoded keys and values.

MLX compiles a kernel when its result is evaluated, too late to fall back in the midst of a model. So each variant is
evaluated once by itself, before attention relies on it.
"""

import math
from typing import Any, cast

import mlx.core as mx

from tq_core import Codec
from tq_mlx.centring import Centre
from tq_mlx.kernels.failures import failure_of, record_failure
from tq_mlx.kernels.fused import fused_attention
from tq_mlx.kernels.launch import Run
from tq_mlx.kernels.variant import Variant
from tq_mlx.kernels.work import Tuning
from tq_mlx.views import CodeReads, TurboQuantKeysView, TurboQuantValuesView

TOLERANCE = 0.01
"""Largest error, in units of the largest output: rounding to bfloat16 takes 0.004 of it, a wrong index all."""

SINK, PACKED, TAIL = 4, 200, 37

passed: set[Variant] = set()


def passes_trial(variant: Variant, keys: Codec[Any], values: Codec[Any], run: Run, tuning: Tuning) -> bool:
    """Return whether the kernel agrees with plain attention; a failure is recorded. Both are remembered.

    Raises:
        Exception: whatever MLX or its compiler raises.
    """
    if variant not in passed and failure_of(variant) is None:
        error = trial_error(variant, keys, values, run, tuning)
        if error <= TOLERANCE:
            passed.add(variant)
        else:
            record_failure(variant, f"in its trial it was off by {error:.3g} of the largest output")
    return variant in passed


def trial_error(variant: Variant, keys: Codec[Any], values: Codec[Any], run: Run, tuning: Tuning) -> float:
    """Return the kernel's largest error over the largest output."""
    history = [normal(seed, 1, 2, SINK + PACKED + TAIL, variant.head_dim) for seed in (0, 1)]
    queries = (0.5 * normal(2, 1, 4, 2, variant.head_dim)).astype(variant.dtype)
    key_view, value_view = views_of(variant, keys, values, history)
    scale = 1 / math.sqrt(variant.head_dim)
    found = fused_attention(variant, queries, key_view, value_view, scale=scale, causal=True, run=run, tuning=tuning)
    scores = scale * queries.astype(mx.float32).reshape(1, 2, 4, -1) @ decoded(key_view).swapaxes(-1, -2)
    tokens = key_view.shape[2]
    seen = mx.arange(tokens) <= tokens - 2 + mx.arange(4)[:, None] % 2
    wanted = mx.softmax(mx.where(seen, scores, -math.inf), axis=-1) @ decoded(value_view)
    error = mx.abs(found.astype(mx.float32) - wanted.reshape(queries.shape)).max() / mx.abs(wanted).max()
    return cast("float", mx.where(mx.isfinite(error), error, math.inf).item())


def normal(seed: int, *shape: int) -> mx.array:
    return mx.random.normal(shape, key=mx.random.key(seed))


def decoded(view: TurboQuantKeysView | TurboQuantValuesView) -> mx.array:
    return view.decode().astype(mx.float32)


def views_of(
    variant: Variant, keys: Codec[Any], values: Codec[Any], history: list[mx.array]
) -> tuple[TurboQuantKeysView, TurboQuantValuesView]:
    """Return views of a history [1, 2, T, D] of keys and values, coded in its middle."""
    packed = slice(SINK, SINK + PACKED)
    centre = None
    if variant.block is not None:
        middle = history[0][..., packed, :]
        centre = Centre.of(middle, keys, variant.block).reaching(middle, 0, PACKED)
    reads = CodeReads()
    sides = [
        view(
            shape=(1, 2, SINK + PACKED + TAIL, variant.head_dim),
            dtype=variant.dtype,
            sink=vectors[..., :SINK, :].astype(variant.dtype),
            code=codec.encode(vectors[..., packed, :] - (less.at(0, PACKED) if less else 0)),
            packed=PACKED,
            codec=codec,
            centre=less,
            tail=vectors[..., SINK + PACKED :, :].astype(variant.dtype),
            reads=reads,
        )
        for view, codec, less, vectors in (
            (TurboQuantKeysView, keys, centre, history[0]),
            (TurboQuantValuesView, values, None, history[1]),
        )
    ]
    return sides[0], sides[1]  # pyright: ignore[reportReturnType]
