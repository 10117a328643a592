"""Fused kernels equal the reference attention, for every shape and length that they serve.

The other side is MLX's own attention in float32 over what the caches decode to.
"""

from collections.abc import Callable
from importlib import import_module
from itertools import product
from typing import Any, cast

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.certification.environment import backend
from tq_cert.stages.recorder import At, Recorder, StageNotRunError
from tq_cert.stages.setting import Setting
from tq_cert.stages.synthetic import keys_and_values, queries

DTYPES = {"kernel_error_float32": mx.float32, "kernel_error_bfloat16": mx.bfloat16}
HEAD_DIMS = (64, 128, 256)
HEADS = ((2, 2), (6, 2), (8, 1))
"""Query heads and KV heads."""

TOKENS = (200, 777, 3000)
LENGTHS = (1, 4)
"""Queries: a decode step, and drafts."""

Fused = Callable[..., mx.array]


def measure(setting: Setting, recorder: Recorder) -> None:
    """Compare every preset in every combination.

    Raises:
        StageNotRunError: there is no GPU to run a kernel on.
    """
    if backend() == "cpu":
        raise StageNotRunError("MLX computes on the CPU here, and kernels need a GPU")
    for preset, (name, dtype) in product(setting.stage.presets, DTYPES.items()):
        for head_dim, heads in product(HEAD_DIMS, HEADS):
            with recorder.case(f"{preset}, {name.rpartition('_')[2]}, D = {head_dim}, {heads[0]} over {heads[1]}"):
                pairs = product(TOKENS, LENGTHS)
                errors = [relative_error(setting.config(preset), dtype, head_dim, heads, *pair) for pair in pairs]
                at = At(preset=preset, prompt=f"D = {head_dim}, {heads[0]} over {heads[1]} heads", seed=head_dim)
                recorder.add(name, "relative", errors, at)


def relative_error(
    config: tq_mlx.TurboQuantConfig, dtype: mx.Dtype, head_dim: int, heads: tuple[int, int], tokens: int, length: int
) -> float:
    """The kernel's largest error over the largest output."""
    cache = tq_mlx.TurboQuantKVCache(config)
    stored = keys_and_values(tokens, head_dim=head_dim, seed=head_dim, heads=heads[1])
    keys, values = cache.update_and_fetch(*(side.astype(dtype) for side in stored))
    q = queries(length, heads=heads[0], head_dim=head_dim, seed=length).astype(dtype)
    fused, run = kernel()
    ours = fused(q, keys, values, scale=head_dim**-0.5, causal=True, run=run).astype(mx.float32)
    truth = mx.fast.scaled_dot_product_attention(
        q.astype(mx.float32),
        keys.decode().astype(mx.float32),
        values.decode().astype(mx.float32),
        scale=head_dim**-0.5,
        mask="causal",
    )
    return cast("float", (mx.abs(ours - truth).max() / mx.abs(truth).max()).item())


def kernel() -> tuple[Fused, Any]:
    """The fused attention, and what runs its launches on this GPU."""
    dialect = "metal" if backend() == "metal" else "cuda"
    return (
        import_module("tq_mlx.kernels.fused").fused_attention,
        import_module("tq_mlx.kernels.launch").run_on(dialect),
    )
