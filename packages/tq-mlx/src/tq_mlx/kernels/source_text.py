"""The kernels' text: one algorithm for CUDA and Metal, behind a small prelude per dialect."""

import hashlib
import re
from functools import lru_cache
from importlib import resources
from typing import Literal

Dialect = Literal["cuda", "metal"]

PRELUDE: dict[Dialect, tuple[str, ...]] = {"cuda": ("cuda_instructions.h", "cuda.h"), "metal": ("metal.h",)}

ALGORITHM = {
    "attend": ("codes.h", "rotation.h", "dense.h", "tile.h", "attend.h"),
    "reduce": ("rotation.h",),
}
"""Pass → the parts of the text that it is built of."""

ENTRIES = {"attend": "attend_entry.h", "reduce": "reduce_entry.h"}
"""Pass → the body of its kernel."""


@lru_cache
def header(dialect: Dialect, entry: str) -> str:
    """Return what stands before a kernel, without comments and indents: MLX copies it at every call."""
    return "\n".join(stripped(name) for name in (*PRELUDE[dialect], *ALGORITHM[entry]))


@lru_cache
def body(entry: str) -> str:
    """Return the body of a pass."""
    return stripped(ENTRIES[entry])


@lru_cache
def digest(dialect: Dialect) -> str:
    """Return a name for the text as it is: MLX keeps what it compiled under a kernel's name, even on disk."""
    text = "".join(header(dialect, entry) + body(entry) for entry in ENTRIES)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stripped(name: str) -> str:
    text = resources.files("tq_mlx.kernels").joinpath("source", name).read_text(encoding="utf-8")
    lines = (re.sub("//.*", "", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)
