"""Streaming attention over codes equals dense attention over the decoded history, for every mask, split and head ratio.

The other side is MLX's own attention over what the caches decode to.
"""

from itertools import product
from typing import cast

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.stages.recorder import At, Recorder
from tq_cert.stages.setting import Setting
from tq_cert.stages.synthetic import keys_and_values, queries

SPLITS = (100, 600)
"""Tokens of history: sink and tail alone, and with codes between them."""

LENGTHS = (1, 8, 70)
"""Queries: a decode step, drafts, a chunk of a prompt."""

HEADS = ((2, 2), (6, 2), (8, 1))
"""Query heads and KV heads."""

MASKS = ("none", "causal", "boolean", "additive", "window")
HEAD_DIM = 64
SCALE = HEAD_DIM**-0.5
WINDOW = 90


def measure(setting: Setting, recorder: Recorder) -> None:
    """Compare every preset in every combination."""
    for preset in setting.stage.presets:
        for split, (query_heads, kv_heads) in product(SPLITS, HEADS):
            name = f"{preset}, {split} tokens, {query_heads} over {kv_heads} heads"
            with recorder.case(name):
                cache = tq_mlx.TurboQuantKVCache(setting.config(preset))
                cache.update_and_fetch(*keys_and_values(split, head_dim=HEAD_DIM, seed=split, heads=kv_heads))
                errors = [difference(cache, query_heads, length, mask) for length, mask in product(LENGTHS, MASKS)]
                at = At(preset=preset, context=split, prompt=f"{query_heads} over {kv_heads} heads", seed=split)
                recorder.add("attention_error", "absolute", errors, at)


def difference(cache: tq_mlx.TurboQuantKVCache, heads: int, length: int, mask: str) -> float:
    """The largest difference between the two attentions."""
    keys, values = cache.keys_and_values()
    q, m = queries(length, heads=heads, head_dim=HEAD_DIM, seed=length), mask_of(mask, length, cache.offset)
    ours = tq_mlx.streaming_attention(q, keys, values, scale=SCALE, mask=m)
    truth = mx.fast.scaled_dot_product_attention(q, keys.decode(), values.decode(), scale=SCALE, mask=m)
    return cast("float", mx.abs(ours - truth).max().item())


def mask_of(kind: str, length: int, tokens: int) -> mx.array | str | None:
    """The mask of this kind for the newest queries; every query may attend to something."""
    ages = mx.arange(tokens - length, tokens)[:, None] - mx.arange(tokens)[None]
    match kind:
        case "causal":
            return "causal"
        case "boolean":
            return mx.logical_or(mx.random.uniform(shape=(length, tokens), key=mx.random.key(1)) > 0.4, ages == 0)
        case "additive":
            return mx.random.normal((length, tokens), key=mx.random.key(2))
        case "window":
            return mx.logical_and(ages >= 0, ages < WINDOW)
        case "none":
            return None
        case _:
            raise ValueError(f"no mask is called {kind!r}")
