"""Keys, values and queries with what real ones have: a common offset, and norms that differ between tokens."""

import mlx.core as mx


def keys_and_values(tokens, *, batch=1, heads=2, head_dim=64, value_dim=None, seed=0, dtype=mx.float32):
    key, scale, value, mean = mx.random.split(mx.random.key(seed), 4)
    offset = 3 * mx.random.normal((1, heads, 1, head_dim), key=mean)
    norms = mx.exp(0.5 * mx.random.normal((batch, heads, tokens, 1), key=scale))
    keys = offset + norms * mx.random.normal((batch, heads, tokens, head_dim), key=key)
    values = mx.random.normal((batch, heads, tokens, value_dim or head_dim), key=value)
    return keys.astype(dtype), values.astype(dtype)


def queries(length, *, batch=1, heads=2, head_dim=64, seed=100, dtype=mx.float32):
    return mx.random.normal((batch, heads, length, head_dim), key=mx.random.key(seed)).astype(dtype)


def feed(cache, keys, values, sizes):
    """Append the tokens in runs of the given sizes; return the last views."""
    views, first = None, 0
    for size in sizes:
        run = slice(first, first + size)
        views = cache.update_and_fetch(keys[..., run, :], values[..., run, :])
        first += size
    assert first == keys.shape[-2]
    return views
