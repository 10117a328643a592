"""MLX arrays in a safetensors file: read from bytes whose header was checked, written from the arrays' own memory.

MLX opens no file here: it is handed each tensor's bytes, after they were checked.
"""

import os
import stat
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import mlx.core as mx

from tq_mlx.errors import CacheFileError, DamagedCacheFileError, UnsupportedCacheError, UnsupportedCacheFileError
from tq_mlx.safetensors_header import ITEM_SIZES, PREFIX, Header, Span, read_header

DTYPES: dict[str, mx.Dtype] = {
    "BOOL": mx.bool_,
    "U8": mx.uint8,
    "I8": mx.int8,
    "U16": mx.uint16,
    "I16": mx.int16,
    "F16": mx.float16,
    "BF16": mx.bfloat16,
    "U32": mx.uint32,
    "I32": mx.int32,
    "F32": mx.float32,
    "U64": mx.uint64,
    "I64": mx.int64,
}

NAMES = {dtype: name for name, dtype in DTYPES.items()}


class SafetensorsFile:
    """An open file with a header that holds together.

    Attributes:
        header: the checked header.
        size: bytes of the whole file.
    """

    def __init__(self, file: BufferedReader, size: int) -> None:
        self.file = file
        self.size = size
        self.header: Header = read_header(file, size)

    def read(self, name: str) -> bytearray:
        """Return a tensor's bytes."""
        span = self.header.tensors[name]
        content = bytearray(span.stop - span.start)
        self.file.seek(self.header.data_start + span.start)
        if self.file.readinto(content) != len(content):
            raise DamagedCacheFileError(f"the file ended within tensor {name!r}")
        return content

    def array(self, name: str) -> mx.array:
        """Return a tensor as an array."""
        return array_of(self.header.tensors[name], self.read(name))


@contextmanager
def open_safetensors(path: Path) -> Generator[SafetensorsFile]:
    """Open a file and check its header; errors within name the file and the remedy.

    Raises:
        OSError: it cannot be read.
        UnsupportedCacheFileError: it is no regular file.
        DamagedCacheFileError: its header does not hold together.
    """
    with open(path, "rb", opener=without_waiting) as file:
        try:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnsupportedCacheFileError("this is no regular file")
            yield SafetensorsFile(file, status.st_size)
        except DamagedCacheFileError as error:
            raise DamagedCacheFileError(f"{path}: {error}; prefill the prompt anew and save it again") from error
        except CacheFileError as error:
            raise type(error)(f"{path}: {error}") from error


def without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe too, which would otherwise wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def array_of(span: Span, content: bytearray) -> mx.array:
    """Return the array whose bytes these are."""
    dtype = DTYPES[span.dtype]
    if not content:
        return mx.zeros(span.shape, dtype=dtype)
    raw = mx.array(memoryview(content))  # a copy
    return (raw != 0 if dtype == mx.bool_ else raw.view(dtype)).reshape(span.shape)


def bytes_of(array: mx.array) -> memoryview:
    """Return the array's elements in order, as bytes."""
    flat = array.reshape(-1)
    return memoryview(flat.astype(mx.uint8) if array.dtype == mx.bool_ else flat.view(mx.uint8))


def spans_of(arrays: Mapping[str, mx.array]) -> dict[str, Span]:
    """Return where each array goes: the widest elements first, so that every one is aligned, then by name.

    Raises:
        UnsupportedCacheError: an array is of a dtype that no cache file holds.
    """
    if odd := {name: array.dtype for name, array in arrays.items() if array.dtype not in NAMES}:
        raise UnsupportedCacheError(f"arrays {odd} have dtypes that a file cannot hold: convert them to float32")
    spans: dict[str, Span] = {}
    start = 0
    for name in sorted(arrays, key=lambda name: (-ITEM_SIZES[NAMES[arrays[name].dtype]], name)):
        array = arrays[name]
        spans[name] = Span(NAMES[array.dtype], tuple(array.shape), start, start + array.nbytes)
        start += array.nbytes
    return spans


def write_safetensors(file: BinaryIO, header: bytes, arrays: Iterable[mx.array]) -> None:
    """Write the header and the arrays, which come in the order of their spans."""
    file.write(len(header).to_bytes(PREFIX, "little"))
    file.write(header)
    for array in arrays:
        file.write(bytes_of(array))
