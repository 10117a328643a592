"""Strict reading of a safetensors file's header, before anything else sees the file.

A file is the header's length (8 bytes, little-endian), the header (JSON) and the tensors' bytes. MLX's own reader
accepts tensors that overlap, bytes that belong to none, and shapes whose product wraps around; here each is an error,
as are repeated keys, numbers that are none, unknown dtypes and unknown fields.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO, cast

from tq_contract import strict_json
from tq_mlx.errors import DamagedCacheFileError

PREFIX = 8
"""Bytes of the header's length."""

LONGEST_HEADER = 1 << 24
"""Bytes; a cache of a hundred layers needs a hundredth of it."""

LARGEST_DIMENSION = (1 << 31) - 1
"""MLX counts dimensions in int32."""

MOST_DIMENSIONS = 8

METADATA = "__metadata__"

ITEM_SIZES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
}
"""Bytes of an element, by the dtype's name in the header."""


@dataclass(frozen=True)
class Span:
    """Where a tensor lies and what it is.

    Attributes:
        dtype: a name of ITEM_SIZES.
        shape: dimensions.
        start: first byte, counted from the end of the header.
        stop: the byte after the last.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """A header that holds together: its spans cover the bytes behind it, each exactly once.

    Attributes:
        text: the JSON as it is in the file.
        metadata: names and texts.
        tensors: spans by tensor name, in the file's order.
    """

    text: bytes
    metadata: dict[str, str]
    tensors: dict[str, Span]

    @property
    def data_start(self) -> int:
        """Place in the file of the first tensor's first byte."""
        return PREFIX + len(self.text)


def read_header(file: BinaryIO, size: int) -> Header:
    """Read the header of a file of ``size`` bytes.

    Raises:
        DamagedCacheFileError: naming the first thing that is wrong.
    """
    text = read_text(file, size)
    entries = parse_object(text, "the header")
    metadata = read_metadata(entries.pop(METADATA, {}))
    tensors = {name: read_span(name, entry) for name, entry in entries.items()}
    check_cover(tensors, size - PREFIX - len(text))
    return Header(text, metadata, tensors)


def write_header(metadata: Mapping[str, str], tensors: Mapping[str, Span]) -> bytes:
    """Return the header's one canonical text: sorted, without spaces but for those that align the tensors' bytes."""
    entries: dict[str, object] = {
        name: {"dtype": span.dtype, "shape": span.shape, "data_offsets": [span.start, span.stop]}
        for name, span in tensors.items()
    }
    text = json.dumps(entries | {METADATA: dict(metadata)}, sort_keys=True, separators=(",", ":")).encode()
    return text + b" " * (-(PREFIX + len(text)) % 8)


def read_text(file: BinaryIO, size: int) -> bytes:
    prefix = file.read(PREFIX)
    if len(prefix) < PREFIX:
        raise DamagedCacheFileError(f"{size} bytes are too few for a safetensors file")
    length = int.from_bytes(prefix, "little")
    if length > min(LONGEST_HEADER, size - PREFIX):
        raise DamagedCacheFileError(
            f"the header claims {length} bytes: the file has {size}, and no header has more than {LONGEST_HEADER}"
        )
    text = file.read(length)
    if len(text) < length:
        raise DamagedCacheFileError(f"the file ended after {len(text)} of the header's {length} bytes")
    if not text.startswith(b"{"):
        raise DamagedCacheFileError("the header does not begin with a brace: this is no safetensors file")
    return text


def parse_object(text: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object that ``text`` is; DamagedCacheFileError names its first problem."""
    value, problems = strict_json.parse(text)
    if problems:
        raise DamagedCacheFileError(f"{what} is not strict JSON: {problems[0].message} at {problems[0].place!r}")
    if not isinstance(value, dict):
        raise DamagedCacheFileError(f"{what} is no JSON object")
    return cast("dict[str, Any]", value)


def read_metadata(value: object) -> dict[str, str]:
    if value is None:  # what MLX writes where there is none
        return {}
    if not isinstance(value, dict):
        raise DamagedCacheFileError(f"{METADATA} is no JSON object")
    texts = cast("dict[str, object]", value)
    if not_texts := [name for name, text in texts.items() if not isinstance(text, str)]:
        raise DamagedCacheFileError(f"{METADATA} has values that are no text: {not_texts[:5]}")
    return cast("dict[str, str]", texts)


def read_span(name: str, entry: object) -> Span:
    """Return the span of one tensor; its offsets fit its dtype and shape, computed without limit."""
    if not isinstance(entry, dict) or set(cast("dict[str, object]", entry)) != {"dtype", "shape", "data_offsets"}:
        raise DamagedCacheFileError(f"tensor {name!r} needs exactly dtype, shape and data_offsets")
    fields = cast("dict[str, object]", entry)
    dtype = fields["dtype"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise DamagedCacheFileError(f"tensor {name!r} has dtype {dtype!r}: known are {', '.join(ITEM_SIZES)}")
    shape, offsets = naturals(name, "shape", fields["shape"]), naturals(name, "data_offsets", fields["data_offsets"])
    if len(shape) > MOST_DIMENSIONS or any(dimension > LARGEST_DIMENSION for dimension in shape):
        raise DamagedCacheFileError(f"tensor {name!r} has shape {shape}: more than an array can have")
    needed = prod(shape) * ITEM_SIZES[dtype]
    if len(offsets) != 2 or offsets[1] - offsets[0] != needed:
        raise DamagedCacheFileError(f"tensor {name!r} has offsets {offsets}: its dtype and shape need {needed} bytes")
    return Span(dtype, shape, offsets[0], offsets[1])


def naturals(name: str, field: str, value: object) -> tuple[int, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(type(item) is int and item >= 0 for item in items):
        raise DamagedCacheFileError(f"tensor {name!r} has {field} {value!r}: a list of natural numbers is needed")
    return tuple(cast("list[int]", items))


def check_cover(tensors: Mapping[str, Span], size: int) -> None:
    """Raise DamagedCacheFileError unless the spans cover ``size`` bytes without overlap and without gap."""
    end = 0
    for name, span in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if span.start != end:
            fault = "overlaps the tensor before it" if span.start < end else "leaves a gap before it"
            raise DamagedCacheFileError(f"tensor {name!r} {fault}: it begins at byte {span.start}, not {end}")
        end = span.stop
    if end != size:
        raise DamagedCacheFileError(f"the tensors take {end} bytes, and {size} follow the header")
