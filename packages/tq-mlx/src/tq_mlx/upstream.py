"""The little that we use of mlx-lm's untyped caches, with types."""

from typing import Any

import mlx.core as mx


def history(cache: Any) -> tuple[mx.array, mx.array] | None:
    """Return the live keys and values [B, H, T, D] of a dense cache, or None while it is empty."""
    return None if cache.empty() or not cache.offset else cache.keys_and_values()


def tokens_seen(cache: Any) -> int:
    """Return the tokens that a cache has seen, in its longest row; 0 where it does not count them."""
    offset = getattr(cache, "offset", None)
    if isinstance(offset, mx.array):
        return int(mx.max(offset))
    return cache.size() if offset is None else offset


def window(cache: Any) -> tuple[mx.array, mx.array] | None:
    """Return what a RotatingKVCache with keep=0 holds of its window, in time order, or None while it is empty."""
    if cache.empty() or not cache.offset:
        return None
    keys, values, offset, _, size, end = cache.state  # the newest token lies before ``end``
    capacity = keys.shape[-2]

    def in_order(ring: mx.array) -> mx.array:
        live = ring[..., :end, :]
        if end < min(offset, capacity):  # it has turned over: the oldest token lies at ``end``
            live = mx.concatenate([ring[..., end:, :], live], axis=-2)
        return live[..., -size:, :]

    return in_order(keys), in_order(values)


def used_bytes(cache: Any) -> int:
    """Return the bytes of the tokens that a dense cache holds, without its growth capacity."""
    held = history(cache)
    if held is None:
        return 0
    return sum(array.nbytes // array.shape[-2] * min(cache.size(), array.shape[-2]) for array in held)
