"""The states of mlx-lm's own caches, checked before a cache is made of one.

Each check is what the cache's methods take for granted, so that no later update reads or writes beyond an array.
"""

from collections.abc import Sequence
from typing import Any, cast

import mlx.core as mx

from tq_mlx.errors import CacheStateError
from tq_mlx.state_check import MOST_TOKENS

GROUP_SIZES = (16, 32, 64, 128)
WIDTHS = (2, 3, 4, 5, 6, 8)


def check_dense(state: object) -> None:
    """Check a KVCache: keys, values, offset."""
    keys, values, offset = parts(state, 3)
    check_counts(offset=offset)
    check_room(check_pair(keys, values), offset)


def check_rotating(state: object) -> None:
    """Check a RotatingKVCache: keys, values, offset, keep, max_size, index of the next token in the ring."""
    keys, values, offset, keep, max_size, index = parts(state, 6)
    check_counts(offset=offset, keep=keep, max_size=max_size, index=index)
    capacity = check_pair(keys, values)
    check_room(capacity, index)
    if not keep < max_size or index > offset or (not capacity and offset):
        raise CacheStateError(f"a ring of {max_size} that keeps {keep} cannot be at {index} after {offset} tokens")


def check_chunked(state: object) -> None:
    """Check a ChunkedKVCache: keys, values, offset, chunk size, first position held."""
    keys, values, offset, chunk_size, start = parts(state, 5)
    check_counts(offset=offset, chunk_size=chunk_size, start=start)
    if start > offset or not chunk_size:
        raise CacheStateError(f"a chunk of {chunk_size} tokens cannot begin at {start} and end at {offset}")
    check_room(check_pair(keys, values), offset - start)


def check_quantized(state: object) -> None:
    """Check a QuantizedKVCache: words, scales and biases of keys and of values, offset, group size, bits."""
    keys, values, offset, group_size, bits = parts(state, 5)
    check_counts(offset=offset, group_size=group_size, bits=bits)
    if group_size not in GROUP_SIZES or bits not in WIDTHS:
        raise CacheStateError(
            f"MLX quantizes to {WIDTHS} bits in groups of {GROUP_SIZES}, not to {bits} in {group_size}"
        )
    if keys is None and values is None:
        check_room(0, offset)
        return
    rows = {check_quantized_side(side, group_size, bits) for side in (keys, values)}
    if len(rows) != 1:
        raise CacheStateError(f"keys and values have rows of {sorted(rows)}: they must have the same")
    check_room(rows.pop()[2], offset)


def check_quantized_side(side: object, group_size: int, bits: int) -> tuple[int, ...]:
    """Return the shape of the rows of one side's words, scales and biases."""
    words, scales, biases = (check_array(part) for part in parts(side, 3))
    if words.dtype != mx.uint32 or scales.dtype != biases.dtype or not mx.issubdtype(scales.dtype, mx.floating):
        raise CacheStateError(f"codes of dtypes {words.dtype}, {scales.dtype}, {biases.dtype}")
    if scales.shape != biases.shape or words.shape[:3] != scales.shape[:3]:
        raise CacheStateError(f"codes of shapes {words.shape}, {scales.shape}, {biases.shape}")
    if words.shape[3] * 32 != scales.shape[3] * group_size * bits:
        raise CacheStateError(f"{words.shape[3]} words do not hold {scales.shape[3]} groups of {group_size}")
    return tuple(words.shape[:3])


def check_arrays(state: object) -> None:
    """Check an ArraysCache: a list of arrays or None, left padding, lengths."""
    arrays, left_padding, lengths = parts(state, 3)
    if not isinstance(arrays, list) or not arrays:
        raise CacheStateError("an ArraysCache holds a list of one array or more")
    if not all(part is None or isinstance(part, mx.array) for part in cast("list[object]", arrays)):
        raise CacheStateError("an ArraysCache holds arrays and None")
    for name, counts in (("left padding", left_padding), ("lengths", lengths)):
        if counts is None:
            continue
        if not isinstance(counts, mx.array) or counts.ndim != 1 or not mx.issubdtype(counts.dtype, mx.integer):
            raise CacheStateError(f"the {name} of an ArraysCache are one whole number per row")


def parts(state: object, count: int) -> list[Any]:
    """Return the parts of a state."""
    if not isinstance(state, list | tuple) or len(cast("Sequence[Any]", state)) != count:
        raise CacheStateError(f"the state has not the {count} parts that this cache has")
    return list(cast("Sequence[Any]", state))


def check_counts(**counts: object) -> None:
    """Raise CacheStateError unless each is a natural number that tokens can reach."""
    for name, count in counts.items():
        if type(count) is not int or not 0 <= count <= MOST_TOKENS:
            raise CacheStateError(f"{name} is {count!r}: a natural number is needed")


def check_pair(keys: object, values: object) -> int:
    """Return the tokens for which keys and values [B, H, capacity, D] have room; 0 where there are none."""
    if keys is None and values is None:
        return 0
    first, second = check_array(keys), check_array(values)
    if first.shape[:3] != second.shape[:3] or first.dtype != second.dtype:
        raise CacheStateError(f"keys {first.shape} {first.dtype} do not fit values {second.shape} {second.dtype}")
    if not mx.issubdtype(first.dtype, mx.floating):
        raise CacheStateError(f"keys and values are {first.dtype}: a float dtype is needed")
    return first.shape[2]


def check_array(value: object) -> mx.array:
    """Return the array [B, H, T, D] that this must be."""
    if not isinstance(value, mx.array) or value.ndim != 4:
        raise CacheStateError("keys and values are arrays [B, H, T, D]")
    return value


def check_room(capacity: int, needed: int) -> None:
    """Raise CacheStateError unless the arrays have room for the tokens that the counters claim."""
    if needed > capacity:
        raise CacheStateError(f"the arrays have room for {capacity} tokens, and {needed} are claimed")
