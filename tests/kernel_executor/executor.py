"""A launch of a fused kernel, compiled by g++ and run by lanes that are fibres."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import mlx.core as mx
import numpy as np

from tq_mlx.kernels.launch import INPUTS, LANES, OUTPUTS, Pass, Run
from tq_mlx.kernels.source_text import ALGORITHM, TYPES, Dialect, body, stripped

HERE = Path(__file__).parent

INTEGERS = {mx.uint32: "uint32_t", mx.uint16: "uint16_t", mx.int32: "int32_t"}

BITS = {2: mx.int16, 4: mx.int32}
CARRIERS = {2: np.int16, 4: np.int32}
ALIGNMENT = 16

AFTER_SHIM = {
    "cuda": "",
    # One place in memory for all fibres of a threadgroup, as a threadgroup's arrays are.
    "metal": "#undef SHARED_ARRAY\n#define SHARED_ARRAY(type, name, size) static type name[size]\n",
}
INDICES = {
    "cuda": "blockIdx.x = 0; blockIdx.y = y; blockIdx.z = z;",
    "metal": "threadgroup_position_in_grid = uint3{0, y, z};",
}


def run_by_executor(dialect: Dialect) -> Run:
    """Return what runs launches of that dialect's text on the CPU."""

    def run(call: Pass, inputs: list[mx.array]) -> list[mx.array]:
        mx.eval(inputs)
        arrays = [Strided(array) for array in inputs]
        library = compiled(source(dialect, call, inputs))
        outputs = [
            np.full(shape, -1, CARRIERS[dtype.size])  # bits of NaN
            for shape, dtype in zip(call.shapes, call.dtypes, strict=True)
        ]
        pointers = [array.data for array in arrays] + [out.ctypes.data for out in outputs]
        library.run(
            (ctypes.c_void_p * len(pointers))(*pointers),
            (ctypes.POINTER(ctypes.c_int64) * len(arrays))(*[(ctypes.c_int64 * 8)(*a.strides) for a in arrays]),
            call.groups[0],
            call.groups[1],
            call.simds * LANES,
        )
        for name, array in zip(INPUTS[call.entry], arrays, strict=True):
            assert name != "tickets" or not array.held.any(), "a launch left its tickets counted"
        return [mx.array(out).view(dtype) for out, dtype in zip(outputs, call.dtypes, strict=True)]

    return run


class Strided:
    """An array's memory as it lies, moved to a 16-byte boundary as on a GPU, and its strides in elements."""

    def __init__(self, array: mx.array) -> None:
        host = np.array(array.view(BITS[array.dtype.size]), copy=None)  # shares MLX's memory: strides are MLX's own
        self.strides = tuple(step // host.itemsize for step in host.strides)
        extent = 1 + sum((size - 1) * step for size, step in zip(host.shape, self.strides, strict=True))
        memory = np.lib.stride_tricks.as_strided(host, (extent,), (host.itemsize,))
        room = np.zeros(extent * host.itemsize + ALIGNMENT, np.uint8)
        first = -room.ctypes.data % ALIGNMENT
        self.held = room[first : first + extent * host.itemsize].view(host.dtype)
        self.held[:] = memory
        self.data = self.held.ctypes.data


def source(dialect: Dialect, call: Pass, inputs: list[mx.array]) -> str:
    """Return the kernel as MLX writes it (arguments, strides where its body reads them, constants) and its caller."""
    text = body(dialect, call.entry, call.constants)
    types = TYPES[dialect] | INTEGERS
    parameters, arguments = [], []
    for i, (name, array) in enumerate(zip(INPUTS[call.entry], inputs, strict=True)):
        parameters.append(f"const {types[array.dtype]}* {name}")
        arguments.append(f"(const {types[array.dtype]}*)pointers[{i}]")
        if f"{name}_strides" in text:
            parameters.append(f"const int64_t* {name}_strides")
            arguments.append(f"strides[{i}]")
    for i, (name, dtype) in enumerate(zip(OUTPUTS[call.entry], call.dtypes, strict=True), start=len(inputs)):
        parameters.append(f"{types[dtype]}* {name}")
        arguments.append(f"({types[dtype]}*)pointers[{i}]")
    if dialect == "metal":
        for name, kind, value in (
            ("thread_index_in_threadgroup", "uint", "uint(fibres::current)"),
            ("threadgroup_position_in_grid", "uint3", "threadgroup_position_in_grid"),
        ):
            parameters.append(f"{kind} {name}")
            arguments.append(value)
    prelude = stripped("cuda.h") if dialect == "cuda" else re.sub("#include <metal.*", "", stripped("metal.h"))
    header = "\n".join((prelude, AFTER_SHIM[dialect], *(stripped(name) for name in ALGORITHM[call.entry])))
    position = "uint3 threadgroup_position_in_grid;" if dialect == "metal" else ""
    return f"""#include "{dialect}_shim.h"
{header}
void kernel({", ".join(parameters)}) {{
{text}
}}
extern "C" void run(void** pointers, const int64_t** strides, int groups_y, int groups_z, int threads) {{
  for (unsigned z = 0; z < unsigned(groups_z); z++) {{
    for (unsigned y = 0; y < unsigned(groups_y); y++) {{
      {position} {INDICES[dialect]}
      fibres::run(threads, [=] {{ kernel({", ".join(arguments)}); }});
    }}
  }}
}}
"""


@cache
def compiled(text: str) -> ctypes.CDLL:
    """Return the library that g++ makes of the text; it is kept for the session's other tests."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise RuntimeError("the kernels' executor needs a C++ compiler: install g++ (Debian: apt-get install g++)")
    directory = Path(tempfile.gettempdir()) / f"turboquant-executor-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    shims = "".join(path.read_text() for path in sorted(HERE.glob("*.h")))
    name = hashlib.sha256((shims + text).encode()).hexdigest()[:24]
    library = directory / f"{name}.so"
    if not library.exists():
        code = directory / f"{name}.{os.getpid()}.cpp"
        code.write_text(text)
        made = code.with_suffix(".so")
        options = ["-std=c++17", "-O1", "-shared", "-fPIC", "-w", f"-I{HERE}"]
        result = subprocess.run([compiler, *options, "-o", made, code], capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"{compiler} refused {code}:\n{result.stderr[:4000]}")
        made.rename(library)
        code.unlink()
    return ctypes.CDLL(str(library))
