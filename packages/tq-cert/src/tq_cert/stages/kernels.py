"""Fused kernels equal the reference attention, for every shape and length that they serve.

The other side is MLX's own attention on the CPU, in float32, over what the caches decode to.
"""

from dataclasses import replace
from itertools import product
from typing import cast

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.stages.recorder import At, CheckFailedError, Recorder, StageNotRunError
from tq_cert.stages.setting import Setting
from tq_cert.stages.synthetic import keys_and_values, queries
from tq_mlx.kernels.asked import dialect
from tq_mlx.kernels.choose import path_for
from tq_mlx.kernels.fused import fused_attention
from tq_mlx.kernels.launch import run_on
from tq_mlx.kernels.source_text import Dialect
from tq_mlx.kernels.work import TUNING
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView

DTYPES = {"kernel_error_float32": mx.float32, "kernel_error_bfloat16": mx.bfloat16}
ROUNDING = {mx.float32: 0.0, mx.bfloat16: 2**-9}
"""What rounding a result to the dtype takes from it at most, as a share."""

HEAD_DIMS = (64, 128, 256)
HEADS = ((2, 2), (6, 2), (8, 1))
"""Query heads and KV heads."""

TOKENS = (200, 777, 3000)
LENGTHS = (1, 4)
"""Queries: a decode step, and drafts."""


def measure(setting: Setting, recorder: Recorder) -> None:
    """Compare every preset in every combination.

    Raises:
        StageNotRunError: there is no GPU to run a kernel on.
    """
    language = dialect()
    if language is None:
        raise StageNotRunError("MLX computes on the CPU here, and kernels need a GPU")
    for preset, (name, dtype) in product(setting.stage.presets, DTYPES.items()):
        for head_dim, heads in product(HEAD_DIMS, HEADS):
            with recorder.case(f"{preset}, {name.rpartition('_')[2]}, D = {head_dim}, {heads[0]} over {heads[1]}"):
                config, pairs = setting.config(preset), product(TOKENS, LENGTHS)
                errors = [relative_error(language, config, dtype, head_dim, heads, *pair) for pair in pairs]
                at = At(preset=preset, prompt=f"D = {head_dim}, {heads[0]} over {heads[1]} heads", seed=head_dim)
                recorder.add(name, "relative", errors, at)


def relative_error(
    language: Dialect,
    config: tq_mlx.TurboQuantConfig,
    dtype: mx.Dtype,
    head_dim: int,
    heads: tuple[int, int],
    tokens: int,
    length: int,
) -> float:
    """The kernel's largest error beyond the rounding of its result, over the largest output.

    Raises:
        CheckFailedError: no kernel serves these; the message says why.
    """
    cache = tq_mlx.TurboQuantKVCache(config)
    history = keys_and_values(tokens, head_dim=head_dim, seed=head_dim, heads=heads[1])
    stored = [side.astype(dtype) for side in history]
    cache.update_and_fetch(*(side[..., :-length, :] for side in stored))
    keys, values = cache.update_and_fetch(*(side[..., -length:, :] for side in stored))
    q = queries(length, heads=heads[0], head_dim=head_dim, seed=length).astype(dtype)
    path, scale = path_for(keys, values), head_dim**-0.5
    if path.variant is None:
        raise CheckFailedError(str(path))
    run, tuning = run_on(language), TUNING[language]
    ours = fused_attention(path.variant, q, keys, values, scale=scale, causal=length > 1, run=run, tuning=tuning)
    mx.eval(ours)
    with mx.stream(mx.cpu):
        dense = exact(keys), exact(values)
        truth = mx.fast.scaled_dot_product_attention(q.astype(mx.float32), *dense, scale=scale, mask="causal")
        error = mx.abs(ours.astype(mx.float32) - truth) - ROUNDING[dtype] * mx.abs(truth)
        return cast("float", (mx.maximum(error.max(), 0) / mx.abs(truth).max()).item())


def exact(view: TurboQuantKeysView | TurboQuantValuesView) -> mx.array:
    """What the view stands for, [B, H, T, D] in float32: not rounded to the dtype of its dense tokens."""
    return replace(view, dtype=mx.float32).decode().astype(mx.float32)
