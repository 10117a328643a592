"""What MLX is handed for a kernel: its text, or on CUDA the names of files that hold it."""

import re
from pathlib import Path

import mlx.core as mx
import pytest

from tq_mlx.kernels.source_text import ENTRIES, body, digest, header, header_and_body

CONSTANTS = (("HEAD_DIM", 64), ("EXACT", False), ("T", mx.bfloat16))


def spelled_out(text: str) -> str:
    """The text with the files that it names, less comments, indents and empty lines."""
    while names := re.findall(r'^#include "(.*)"$', text, re.MULTILINE):
        for name in names:
            text = text.replace(f'#include "{name}"', Path(name).read_text(encoding="utf-8"))
    lines = (re.sub("//.*", "", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


@pytest.mark.parametrize("entry", ENTRIES)
def test_on_cuda_the_files_that_are_named_are_the_text(entry: str) -> None:
    wanted = header("cuda", entry), body("cuda", entry, CONSTANTS)
    found = header_and_body("cuda", entry, CONSTANTS)
    assert tuple(map(spelled_out, found)) == wanted
    assert sum(map(len, found)) < sum(map(len, wanted)) / 4


@pytest.mark.parametrize("entry", ENTRIES)
def test_mlx_finds_the_strides_that_a_body_reads(entry: str) -> None:
    strides = set(re.findall(r"\w+_strides", body("cuda", entry, CONSTANTS)))
    assert set(re.findall(r"\w+_strides", header_and_body("cuda", entry, CONSTANTS)[1])) == strides


def test_metal_is_handed_the_text_itself() -> None:
    found = header_and_body("metal", "attend", CONSTANTS)
    assert found == (header("metal", "attend"), body("metal", "attend", CONSTANTS))
    assert "#include <metal_simdgroup_matrix>" in found[0]
    assert '#include "' not in found[0]


def test_another_text_has_another_name() -> None:
    assert digest(body("cuda", "attend", CONSTANTS)) != digest(body("cuda", "attend", CONSTANTS[:2]))
