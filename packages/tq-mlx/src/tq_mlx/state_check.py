"""The states of our caches, checked before a cache is made of one.

A state may come from a file that anybody wrote. What passes here has the arrays that its configuration demands, of the
shapes and dtypes that its codecs produce, long enough for the tokens it claims, and holds no NaN or Inf that attention
would read.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import mlx.core as mx

import tq_contract
from tq_core import Codec, NonFiniteError
from tq_mlx.config import TurboQuantConfig
from tq_mlx.errors import CacheStateError, UnsupportedCacheError

SCHEMA_VERSION = tq_contract.load().state.schema_version

FIELDS = {
    *("schema_version", "config", "admission", "layout", "lengths"),
    *("sink", "packed", "tail", "mean", "deviations", "gone"),
}

WINDOW_FIELDS = {"window", "dropped", "attended", "held"}

BATCH_FIELDS = {"rows", "skip", "left"}

FLOATS = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}

LARGEST_HEAD_DIM = 1024
"""Twice the largest head dimension in use: rotations and sketches of a forged one would fill the memory."""

MOST_TOKENS = 1 << 40
"""Tokens beyond which a counter is forged."""

MOST_BITS = 32
"""Stored bits per value beyond which a codec is forged: no less than uncompressed."""


def check_state(state: object, dropped: int = 0) -> TurboQuantConfig:
    """Return the configuration of a TurboQuantKVCache's state that holds together; evaluates its arrays.

    Args:
        state: as ``TurboQuantKVCache.state`` gives it.
        dropped: tokens before those of the state that a moving window has dropped.

    Raises:
        UnsupportedCacheError: the state is of another schema version.
        ConfigError: its configuration is not one of this version.
        UnsupportedHeadDimError: its codecs do not serve its head dimensions.
        NonFiniteError: its arrays hold NaN or Inf.
        CacheStateError: its parts do not fit together.
    """
    fields = mapping("a cache's state", state)
    version = fields.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise UnsupportedCacheError(
            f"cache state of schema version {version}: this release reads {SCHEMA_VERSION}; prefill the prompt anew"
        )
    check_fields("a state", fields, FIELDS)
    if not isinstance(fields["config"], str):
        raise CacheStateError(f"the configuration is {fields['config']!r}: it must be a JSON text")
    config = TurboQuantConfig.from_json(fields["config"])
    check_admission(fields["admission"])
    lengths = check_lengths(fields["lengths"], config, dropped)
    if fields["layout"] is None:
        check_empty(fields, lengths)
        return config
    rows, dims, dtype = check_layout(fields["layout"], config)
    for name, length in (("sink", lengths[0]), ("tail", lengths[2])):
        check_dense(name, list_of(2, fields, name), rows, dims, dtype, length)
    check_packed(list_of(2, fields, "packed"), rows, dims, config, lengths[1])
    check_centre(fields, rows, dims[0], config, lengths[1])
    return config


def check_window_state(state: object) -> TurboQuantConfig:
    """Return the configuration of a TurboQuantRotatingKVCache's state; raises what ``check_state`` raises."""
    fields = mapping("a window's state", state)
    check_fields("the state of a window", fields, WINDOW_FIELDS)
    window, dropped, attended = (fields[name] for name in ("window", "dropped", "attended"))
    if not all(type(count) is int and 0 <= count <= MOST_TOKENS for count in (window, dropped, attended)) or not window:
        raise CacheStateError(f"a window of {window}, after {dropped}, handing out {attended}: no numbers of tokens")
    config = check_state(fields["held"], dropped)
    held = sum(fields["held"]["lengths"])
    if not min(window, held) <= attended <= held:
        raise CacheStateError(f"a window of {window} that holds {held} tokens cannot have handed out {attended}")
    return config


def check_batch_state(state: object) -> list[TurboQuantConfig]:
    """Return each row's configuration of a BatchTurboQuantKVCache's state; raises what ``check_state`` raises."""
    fields = mapping("a batch's state", state)
    check_fields("the state of a batch", fields, BATCH_FIELDS)
    if not isinstance(fields["rows"], list) or not fields["rows"]:
        raise CacheStateError("a batch has a list of one row or more")
    states = cast("list[Any]", fields["rows"])
    for name in ("skip",) if fields["left"] is None else ("skip", "left"):
        counts = list_of(len(states), fields, name)
        if not all(type(count) is int and 0 <= count <= MOST_TOKENS for count in counts):
            raise CacheStateError(f"{name} is {counts}: a number of tokens for each row is needed")
    configs = [check_state(row) for row in states]
    layouts = [list(row["layout"]) for row in states if row["layout"] is not None]
    if any(layout[0] != 1 or layout != layouts[0] for layout in layouts):
        raise CacheStateError(f"rows of layouts {layouts} do not fit side by side: each holds one sequence")
    return configs


def mapping(what: str, value: object) -> Mapping[str, Any]:
    """Return the mapping that this must be."""
    if not isinstance(value, Mapping):
        raise CacheStateError(f"{what} is a mapping, and not a {type(value).__name__}")
    return cast("Mapping[str, Any]", value)


def check_fields(what: str, fields: Mapping[str, Any], expected: set[str]) -> None:
    """Raise CacheStateError unless these are exactly the fields."""
    if set(fields) != expected:
        raise CacheStateError(f"{what} has exactly the fields {sorted(expected)}, and not {sorted(map(str, fields))}")


def check_admission(value: object) -> None:
    """Check under which family the cache was let in; the family may be one of another release's contract."""
    if value is None:
        return
    fields = mapping("an admission", value)
    check_fields("an admission", fields, {"family", "research"})
    if type(fields["family"]) is not str or type(fields["research"]) is not bool:
        raise CacheStateError(f"an admission is a family's name and whether it was opted in, and not {dict(fields)}")


def list_of(count: int, fields: Mapping[str, Any], name: str) -> list[Any]:
    """Return the list of ``count`` items in that field."""
    value = fields[name]
    if not isinstance(value, list | tuple) or len(cast("Sequence[Any]", value)) != count:
        raise CacheStateError(f"{name} is no list of {count} items")
    return list(cast("Sequence[Any]", value))


def check_lengths(value: object, config: TurboQuantConfig, dropped: int) -> tuple[int, int, int]:
    """Return the lengths of the sink, the packed segment and the tail, ``dropped`` tokens before them being gone."""
    lengths = list_of(3, {"lengths": value}, "lengths")
    if not all(type(length) is int and length >= 0 for length in lengths):
        raise CacheStateError(f"lengths are {lengths}: natural numbers are needed")
    sink, packed, tail = lengths
    full = max(0, config.sink_tokens - dropped)
    if sink > full:
        raise CacheStateError(f"the sink holds {sink} tokens: the configuration has room for {full}")
    if sink < full and (packed or tail) and not dropped:
        raise CacheStateError(f"the sink holds {sink} tokens: the configuration fills it with {full} before any other")
    return sink, packed, tail


def check_empty(fields: Mapping[str, Any], lengths: Sequence[int]) -> None:
    """Check the state of a cache that never held a token."""
    segments = [part for name in ("sink", "packed", "tail") for part in list_of(2, fields, name)]
    found = [part for part in (*segments, fields["mean"], fields["deviations"]) if part is not None]
    if found or any(lengths) or type(fields["gone"]) is not int or fields["gone"]:
        raise CacheStateError("a cache without layout holds neither tokens nor means")


def check_layout(value: object, config: TurboQuantConfig) -> tuple[tuple[int, int], tuple[int, int], mx.Dtype]:
    """Return (batch, heads), the dimensions of keys and of values, and the dtype of the dense segments."""
    *numbers, dtype = list_of(5, {"layout": value}, "layout")
    counts = all(type(number) is int and number > 0 for number in numbers)
    if not counts or not isinstance(dtype, str) or dtype not in FLOATS:
        raise CacheStateError(f"the layout is {value}: four positive numbers and one of {', '.join(FLOATS)} are needed")
    batch, heads, *dims = numbers
    for codec, dim in zip((config.keys, config.values), dims, strict=True):
        if dim > LARGEST_HEAD_DIM:
            raise CacheStateError(f"the head dimension {dim} is larger than {LARGEST_HEAD_DIM}")
        codec.check(dim)
        if codec.bits_per_value(dim) > MOST_BITS:
            raise CacheStateError(
                f"codec {codec} stores {codec.bits_per_value(dim)} bits per value: {MOST_BITS} is all"
            )
    return (batch, heads), (dims[0], dims[1]), FLOATS[dtype]


def check_dense(
    name: str, pair: Sequence[Any], rows: tuple[int, int], dims: tuple[int, int], dtype: mx.Dtype, length: int
) -> None:
    """Check the keys and values [B, H, capacity, D] of a dense segment, of which ``length`` tokens are live."""
    if check_presence(name, pair, length):
        capacity = capacity_of(name, pair[0], length)
        for side, array, dim in zip(("keys", "values"), pair, dims, strict=True):
            check_array(f"{name} {side}", array, (*rows, capacity, dim), dtype)
            check_finite(f"{name} {side}", array[..., :length, :])


def check_packed(
    pair: Sequence[Any], rows: tuple[int, int], dims: tuple[int, int], config: TurboQuantConfig, length: int
) -> None:
    """Check the codes of keys and values, whose arrays share one capacity, of which ``length`` tokens are live."""
    if not check_presence("packed", pair, length):
        return
    rooms = [
        check_code(f"packed {side}", arrays, codec, rows, dim)
        for side, arrays, codec, dim in zip(("keys", "values"), pair, (config.keys, config.values), dims, strict=True)
    ]
    if rooms[0] != rooms[1] or rooms[0] < length:
        raise CacheStateError(f"the codes have room for {rooms} tokens, and {length} are claimed")


def check_code(what: str, arrays: object, codec: Codec[Any], rows: tuple[int, int], dim: int) -> int:
    """Return the vectors for which the arrays of a code have room."""
    expected, code = code_arrays(codec, dim), mapping(what, arrays)
    check_fields(what, code, set(expected))
    room = capacity_of(what, next(iter(code.values())), 1)
    for name, (width, dtype) in expected.items():
        check_array(f"{what} {name}", code[name], (*rows, room, width), dtype)
        if mx.issubdtype(dtype, mx.floating):
            check_finite(f"{what} {name}", code[name])  # the spare capacity too: attention multiplies it with zero
    return room


def check_centre(
    fields: Mapping[str, Any], rows: tuple[int, int], dim: int, config: TurboQuantConfig, packed: int
) -> None:
    """Check the mean key [B, H, 1, D] that centred codes need, and the deviation of each block begun."""
    mean, deviations, gone = fields["mean"], fields["deviations"], fields["gone"]
    if mean is None and config.center_keys and packed:
        raise CacheStateError("the coded keys are centred, and their mean is missing")
    if mean is not None:
        if not config.center_keys:
            raise CacheStateError("the configuration does not centre keys, and there is a mean")
        check_array("mean", mean, (*rows, 1, dim), mx.float32)
        check_finite("mean", mean)
    block = config.center_block if mean is not None else None
    if type(gone) is not int or not 0 <= gone < (block or 1):
        raise CacheStateError(f"gone is {gone!r}: it counts tokens of a block of {block}")
    blocks = 0 if block is None else -(-(gone + packed) // block)
    found = 0 if deviations is None else check_code("deviations", deviations, config.keys, rows, dim)
    if found != blocks:
        raise CacheStateError(f"there are {found} deviations from the mean, and the codes need {blocks}")


def check_presence(name: str, pair: Sequence[Any], length: int) -> bool:
    """Return whether a segment has arrays; without, it has no tokens."""
    missing = [part is None for part in pair]
    if any(missing) and (length or not all(missing)):
        raise CacheStateError(f"{name} lacks arrays for the {length} tokens that it claims")
    return not any(missing)


def capacity_of(name: str, array: object, length: int) -> int:
    """Return the tokens for which an array [B, H, capacity, width] has room."""
    if not isinstance(array, mx.array) or array.ndim != 4 or array.shape[2] < max(length, 1):
        raise CacheStateError(f"{name} is no array [B, H, capacity, width] with room for {length} tokens")
    return array.shape[2]


def check_array(name: str, array: object, shape: tuple[int, ...], dtype: mx.Dtype) -> None:
    """Raise CacheStateError unless this is an array of that shape and dtype."""
    found = (array.shape, array.dtype) if isinstance(array, mx.array) else type(array).__name__
    if found != (shape, dtype):
        raise CacheStateError(f"{name} is {found}: the configuration and the layout demand {(shape, dtype)}")


def check_finite(name: str, array: mx.array) -> None:
    """Raise NonFiniteError if the array holds NaN or Inf."""
    if array.size and not mx.isfinite(array).all().item():
        raise NonFiniteError(f"{name} holds NaN or Inf: prefill the prompt anew")


@lru_cache
def code_arrays(codec: Codec[Any], dim: int) -> dict[str, tuple[int, mx.Dtype]]:
    """Return the width and dtype of each array of the codec's code, as the codec itself makes it."""
    code = codec.quantize(mx.zeros((1, dim)))
    return {name: (array.shape[-1], array.dtype) for name, array in code.arrays().items()}
