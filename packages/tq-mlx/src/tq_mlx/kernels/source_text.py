"""The kernels' text: one algorithm for CUDA and Metal, behind a small prelude per dialect."""

import hashlib
import re
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import mlx.core as mx

Dialect = Literal["cuda", "metal"]

SOURCES = resources.files("tq_mlx.kernels").joinpath("source")

PRELUDE: dict[Dialect, tuple[str, ...]] = {"cuda": ("cuda_instructions.h", "cuda.h"), "metal": ("metal.h",)}

ALGORITHM = {
    "attend": ("codes.h", "rotation.h", "dense.h", "tile.h", "attend.h"),
    "reduce": ("rotation.h", "merge.h"),
    "whole": ("codes.h", "rotation.h", "dense.h", "tile.h", "attend.h", "merge.h"),
    "encode": ("rotation.h", "encode.h"),
}
"""Pass → the parts of the text that it is built of; ``whole`` is the first two in one launch."""

ENTRIES = {
    "attend": ("attend_entry.h",),
    "reduce": ("reduce_entry.h",),
    "whole": ("attend_entry.h", "last_entry.h"),
    "encode": ("encode_entry.h",),
}
"""Pass → the body of its kernel."""


TYPES: dict[Dialect, dict[mx.Dtype, str]] = {
    "cuda": {mx.float32: "float", mx.float16: "__half", mx.bfloat16: "__nv_bfloat16"},
    "metal": {mx.float32: "float", mx.float16: "half", mx.bfloat16: "bfloat16_t"},
}

Constants = tuple[tuple[str, int | bool | mx.Dtype], ...]
"""Name → what is compiled in; a dtype becomes the name of a type."""


@lru_cache
def header(dialect: Dialect, entry: str) -> str:
    """Return what stands before a kernel, without comments and indents."""
    return "\n".join(stripped(name) for name in (*PRELUDE[dialect], *ALGORITHM[entry]))


def body(dialect: Dialect, entry: str, constants: Constants) -> str:
    """Return the body of a pass.

    The constants are written into it: MLX would read template arguments anew at every call.
    """
    return "\n".join([definitions(dialect, constants), *(stripped(name) for name in ENTRIES[entry])])


def header_and_body(dialect: Dialect, entry: str, constants: Constants) -> tuple[str, str]:
    """Return both as MLX is handed them: by names of files, where the compiler can open files.

    MLX copies texts at every call: 40 KB of them took 8 of 25 µs of a call's processor time beside an H200. It looks
    into the body for the arrays whose strides are used, so a comment names them.
    """
    before, behind = header(dialect, entry), body(dialect, entry, constants)
    if dialect == "metal" or not isinstance(SOURCES, Path):
        return before, behind
    strides = " ".join(sorted(set(re.findall(r"\w+_strides", behind))))
    return (
        included(*PRELUDE[dialect], *ALGORITHM[entry]),
        f"// {strides}\n{definitions(dialect, constants)}\n{included(*ENTRIES[entry])}",
    )


def definitions(dialect: Dialect, constants: Constants) -> str:
    return "\n".join(
        f"typedef {TYPES[dialect][value]} {name};"
        if isinstance(value, mx.Dtype)
        else f"constexpr {'bool' if isinstance(value, bool) else 'int'} {name} = {str(value).lower()};"
        for name, value in constants
    )


def included(*names: str) -> str:
    return "".join(f'#include "{SOURCES / name}"\n' for name in names)


def digest(*texts: str) -> str:
    """Return a name for texts: MLX keeps what it compiled under a kernel's name, even on disk."""
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]


@lru_cache
def stripped(name: str) -> str:
    lines = (
        re.sub("//.*", "", line).strip() for line in SOURCES.joinpath(name).read_text(encoding="utf-8").splitlines()
    )
    return "\n".join(line for line in lines if line)
