"""One process of test_tensor_parallel: generate greedily with a (sharded) model; each rank writes what came of it.

Usage: python tensor_parallel_run.py OUTPUT
"""

import json
import sys
from pathlib import Path

import tq_mlx  # isort: skip: it loads a fast BLAS before MLX

import importlib

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

from lively_llama import lively_llama

PROMPT = [1 + index * 7 % 90 for index in range(230)]


CONFIGS = {name: tq_mlx.TurboQuantConfig.from_preset(name) for name in ("lloyd_k4v4", "equal_noise_k4v4")}


def make_model():
    """Return a Llama in which the first two heads' keys grow from layer to layer and the other two heads' do not."""
    model = lively_llama(layers=4, heads=8, kv_heads=4, head_dim=32)
    for index, layer in enumerate(model.layers):
        heads = mx.repeat(mx.array([2.0**index, 2.0**index, 2.0, 2.0]), 32)
        layer.self_attn.k_proj.weight = layer.self_attn.k_proj.weight * heads[:, None] / 2
    return model


def run(preset, group=None):
    """Return tokens, and per layer: class, heads held, key codec and how often codes were read."""
    model = make_model()
    if group is not None:
        model.shard(group)
    cache = make_prompt_cache(model)
    steps = importlib.import_module("mlx_lm.generate").generate_step(
        mx.array(PROMPT), model, max_tokens=12, prompt_cache=cache, turboquant_config=CONFIGS[preset]
    )
    tokens = [token for token, _ in steps]
    layers = [[type(one).__name__, one.layout.heads, one.config.keys.label, one.reads.count] for one in cache]
    return {"tokens": tokens, "layers": layers}


if __name__ == "__main__":
    output = sys.argv[1]
    group = mx.distributed.init(strict=True, backend="ring")
    results = {preset: run(preset, group) for preset in CONFIGS}
    Path(f"{output}.{group.rank()}").write_text(json.dumps({"size": group.size(), "results": results}))
