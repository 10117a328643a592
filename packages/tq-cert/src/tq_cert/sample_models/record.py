"""What `build` returns: the record of one finished sample model."""

import platform
from pathlib import Path

import msgspec

DTYPES = ("float32", "bfloat16", "float16")


class SourcePackage(msgspec.Struct, frozen=True):
    """One package of the index that went into a model."""

    name: str
    version: str
    wheel_sha256: str


class SampleModel(msgspec.Struct, frozen=True):
    """A finished sample model on disk.

    Attributes:
        name: llama, gemma or qwen.
        directory: what to give to `mlx_lm.load`.
        dtype: of the weights.
        reused: True if it was there already, False if this call built it.
        size: bytes of all files together.
        weights_sha256: of `model.safetensors`.
        gguf_sha256: of the GGUF file that the weights and the tokenizer were read from.
        source_packages: where that file came from.
    """

    name: str
    directory: Path
    dtype: str
    reused: bool
    size: int
    weights_sha256: str
    gguf_sha256: str
    source_packages: tuple[SourcePackage, ...]


def default_dtype() -> str:
    """Bfloat16 on Apple silicon; float32 elsewhere, where the CPU computes the others slowly."""
    apple_silicon = platform.system() == "Darwin" and platform.machine() == "arm64"
    return "bfloat16" if apple_silicon else "float32"
