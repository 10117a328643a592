"""Writes a safetensors file tensor by tensor, never holding more than one block of rows in memory."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from tq_cert.progress import Progress
from tq_cert.sample_models.errors import UnsupportedDtypeError
from tq_cert.sample_models.record import DTYPES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CODES = {"float32": ("F32", 4), "bfloat16": ("BF16", 2), "float16": ("F16", 2)}


@dataclass(frozen=True)
class Tensor:
    """A tensor to be written: its name, its shape, and its float32 values in order, block by block."""

    name: str
    shape: tuple[int, ...]
    blocks: Callable[[], Iterator["NDArray[np.float32]"]]


def write_safetensors(path: Path, tensors: Sequence[Tensor], dtype: str, progress: Progress) -> str:
    """Write tensors in the given dtype.

    Returns:
        The SHA-256 of the file.
    """
    header = _header(tensors, dtype)
    digest = hashlib.sha256()
    written = 0
    progress.phase("convert weights", sum(prod(t.shape) for t in tensors) * _CODES[dtype][1])
    with path.open("wb") as target:
        for chunk in (len(header).to_bytes(8, "little"), header):
            target.write(chunk)
            digest.update(chunk)
        for tensor in tensors:
            for block in tensor.blocks():
                chunk = to_bytes(block, dtype)
                target.write(chunk)
                digest.update(chunk)
                written += len(chunk)
                progress.reach(written)
    return digest.hexdigest()


def to_bytes(values: "NDArray[np.float32]", dtype: str) -> bytes:
    """Little-endian bytes of float32 values in the given dtype, rounded to nearest, ties to even."""
    import numpy as np

    if dtype == "float32":
        return values.astype("<f4").tobytes()
    if dtype == "float16":
        return values.astype("<f2").tobytes()
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> np.uint32(16)
    return rounded.astype("<u2").tobytes()


def _header(tensors: Sequence[Tensor], dtype: str) -> bytes:
    if dtype not in _CODES:
        raise UnsupportedDtypeError(dtype, DTYPES)
    code, width = _CODES[dtype]
    entries: dict[str, object] = {"__metadata__": {"format": "mlx"}}
    offset = 0
    for tensor in tensors:
        end = offset + prod(tensor.shape) * width
        entries[tensor.name] = {
            "dtype": code,
            "shape": tensor.shape,
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)
