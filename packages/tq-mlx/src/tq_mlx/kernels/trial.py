"""An attention kernel's trial: a small history on which it must agree with plain attention over what is decoded.

The history's codes are random words and gains: to code real vectors, MLX would first have to compile everything that
the reference coder consists of, on a GPU for a minute.
"""

import math
from collections.abc import Iterator
from typing import Any, cast

import mlx.core as mx

from tq_core import Codec, ScalarCode
from tq_core.scalar import GAIN_DTYPE
from tq_mlx.centring import Centre
from tq_mlx.kernels.fused import fused_attention
from tq_mlx.kernels.launch import Run
from tq_mlx.kernels.variant import Variant
from tq_mlx.kernels.work import Tuning
from tq_mlx.views import CodeReads, TurboQuantKeysView, TurboQuantValuesView

TOLERANCE = 0.01
"""Largest error, in units of the largest output: rounding to bfloat16 takes 0.004 of it, a wrong index all."""

SINK, PACKED, TAIL = 4, 200, 37


def fault_of(variant: Variant, keys: Codec[Any], values: Codec[Any], run: Run, tuning: Tuning) -> str | None:
    """Return how the kernel disagrees with plain attention, or None.

    Raises:
        Exception: whatever MLX or its compiler raises.
    """
    error = trial_error(variant, keys, values, run, tuning)
    return None if error <= TOLERANCE else f"in its trial it was off by {error:.3g} of the largest output"


def trial_error(variant: Variant, keys: Codec[Any], values: Codec[Any], run: Run, tuning: Tuning) -> float:
    """Return the kernel's largest error over the largest output."""
    draws = iter(mx.random.split(mx.random.key(0), 12))
    queries = (0.25 * mx.random.normal((1, 4, 2, variant.head_dim), key=next(draws))).astype(variant.dtype)
    key_view, value_view = views_of(variant, keys, values, draws)
    scale = 1 / math.sqrt(variant.head_dim)
    found = fused_attention(variant, queries, key_view, value_view, scale=scale, causal=True, run=run, tuning=tuning)
    scores = scale * queries.astype(mx.float32).reshape(1, 2, 4, -1) @ decoded(key_view).swapaxes(-1, -2)
    tokens = key_view.shape[2]
    seen = mx.arange(tokens) <= tokens - 2 + mx.arange(4)[:, None] % 2
    wanted = mx.softmax(mx.where(seen, scores, -math.inf), axis=-1) @ decoded(value_view)
    error = mx.abs(found.astype(mx.float32) - wanted.reshape(queries.shape)).max() / mx.abs(wanted).max()
    return cast("float", mx.where(mx.isfinite(error), error, math.inf).item())


def decoded(view: TurboQuantKeysView | TurboQuantValuesView) -> mx.array:
    return view.decode().astype(mx.float32)


def views_of(
    variant: Variant, keys: Codec[Any], values: Codec[Any], draws: Iterator[mx.array]
) -> tuple[TurboQuantKeysView, TurboQuantValuesView]:
    """Return views of random keys and values [1, 2, T, D], coded in their middle."""
    head_dim = variant.head_dim
    centre = None
    if variant.block is not None:
        mean = mx.random.normal((1, 2, 1, head_dim), key=next(draws))
        deviations = random_code(-(-PACKED // variant.block), head_dim, variant.keys.bits, draws)
        centre = Centre(keys, variant.block, mean, deviations)
    reads = CodeReads()
    sides = [
        view(
            shape=(1, 2, SINK + PACKED + TAIL, head_dim),
            dtype=variant.dtype,
            sink=mx.random.normal((1, 2, SINK, head_dim), key=next(draws)).astype(variant.dtype),
            code=random_code(PACKED, head_dim, codes.bits, draws),
            packed=PACKED,
            codec=codec,
            centre=less,
            tail=mx.random.normal((1, 2, TAIL, head_dim), key=next(draws)).astype(variant.dtype),
            reads=reads,
        )
        for view, codec, codes, less in (
            (TurboQuantKeysView, keys, variant.keys, centre),
            (TurboQuantValuesView, values, variant.values, None),
        )
    ]
    return sides[0], sides[1]  # pyright: ignore[reportReturnType]


def random_code(tokens: int, head_dim: int, bits: int, draws: Iterator[mx.array]) -> ScalarCode:
    """Return a code of tokens [1, 2, T, D]: every word is one, and any gain."""
    parts = mx.random.randint(0, 256, (1, 2, tokens, head_dim * bits // 8), key=next(draws)).astype(mx.uint8)
    gain = mx.random.uniform(0.5, 1.5, (1, 2, tokens, 1), GAIN_DTYPE, key=next(draws))
    return ScalarCode(head_dim, parts.view(mx.uint32), gain)
