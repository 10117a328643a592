"""Keys, values and queries that are drawn at random, with what real ones have: an offset, and norms that differ."""

import mlx.core as mx

HEADS = 2
KEY_OFFSET = 3.0


def keys_and_values(tokens: int, *, head_dim: int, seed: int, heads: int = HEADS) -> tuple[mx.array, mx.array]:
    """Keys and values [1, heads, tokens, head_dim], float32."""
    offset, norm, key, value = mx.random.split(mx.random.key(seed), 4)
    mean = KEY_OFFSET * mx.random.normal((1, heads, 1, head_dim), key=offset)
    norms = mx.exp(0.5 * mx.random.normal((1, heads, tokens, 1), key=norm))
    keys = mean + norms * mx.random.normal((1, heads, tokens, head_dim), key=key)
    return keys, mx.random.normal((1, heads, tokens, head_dim), key=value)


def queries(length: int, *, heads: int, head_dim: int, seed: int) -> mx.array:
    """Queries [1, heads, length, head_dim], float32."""
    return mx.random.normal((1, heads, length, head_dim), key=mx.random.key(seed))
