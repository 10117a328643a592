"""One kernel call as values, and how it runs on this machine's GPU."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import mlx.core as mx

from tq_mlx.kernels.source_text import Constants, Dialect, body, digest, header, header_and_body

LANES = 32

CODE_INPUTS = ("key_words", "key_gain", "value_words", "value_gain", "shift_words", "shift_gain")
DENSE_INPUTS = ("sink_keys", "sink_values", "tail_keys", "tail_values")

HISTORY_INPUTS = ("queries", "mean", *CODE_INPUTS, *DENSE_INPUTS, "numbers")

INPUTS = {
    "attend": HISTORY_INPUTS,
    "reduce": ("partials", "numbers"),
    "whole": (*HISTORY_INPUTS, "tickets"),
    "encode": ("vectors", "means", "numbers"),
}
"""Pass → its inputs' names in the kernel's text; strided ones are read where they lie."""

OUTPUTS = {
    "attend": ("partials",),
    "reduce": ("out",),
    "whole": ("partials", "out"),
    "encode": ("words", "gain", "peaks"),
}


@dataclass(frozen=True)
class Pass:
    """A kernel call but for its inputs.

    Attributes:
        entry: name of the pass.
        shapes: of the outputs.
        dtypes: of the outputs.
        constants: compiled in; one kernel is built for each combination.
        groups: threadgroups along y and z.
        simds: groups of 32 lanes per threadgroup.
        residents: threadgroups that are to share a multiprocessor; 0 lets the compiler choose.
        kernels: what was built for it.
    """

    entry: str
    shapes: list[tuple[int, ...]]
    dtypes: list[mx.Dtype]
    constants: Constants
    groups: tuple[int, int]
    simds: int
    residents: int = 0
    kernels: dict[Dialect, Any] = field(default_factory=dict[Dialect, Any], compare=False)


Run = Callable[[Pass, list[mx.array]], list[mx.array]]
"""Runs a pass over its inputs and returns its outputs."""


@lru_cache
def run_on(dialect: Dialect) -> Run:
    """Return what runs passes by MLX's own compiler for that dialect."""

    def run(call: Pass, inputs: list[mx.array]) -> list[mx.array]:
        threads = call.simds * LANES
        return kernel(dialect, call)(
            inputs=inputs,
            grid=(threads, *call.groups),
            threadgroup=(threads, 1, 1),
            output_shapes=call.shapes,
            output_dtypes=call.dtypes,
        )

    return run


def kernel(dialect: Dialect, call: Pass) -> Any:
    """Return MLX's kernel for a pass; it is looked up once per pass, since that takes longer than a call."""
    found = call.kernels.get(dialect)
    if found is None:
        found = call.kernels[dialect] = built(dialect, call.entry, call.constants, call.simds, call.residents)
    return found


@lru_cache(maxsize=256)
def built(dialect: Dialect, entry: str, constants: Constants, simds: int, residents: int) -> Any:
    """Return MLX's kernel; it compiles on first use, once for each combination of constants."""
    make = mx.fast.cuda_kernel if dialect == "cuda" else mx.fast.metal_kernel
    limits = bounds(dialect, simds, residents)
    before, text = header_and_body(dialect, entry, constants)
    return make(
        name=f"turboquant_{entry}_{digest(header(dialect, entry), limits, body(dialect, entry, constants))}",
        input_names=INPUTS[entry],
        output_names=OUTPUTS[entry],
        source=text,
        header=before + limits,
        ensure_row_contiguous=False,
    )


def bounds(dialect: Dialect, simds: int, residents: int) -> str:
    """Return what limits registers so that so many threadgroups share a multiprocessor.

    MLX writes the kernel's signature: the only way to qualify it is to qualify every kernel of the text, which is one.
    """
    if dialect == "metal" or not residents:
        return ""
    limit = f"__attribute__((launch_bounds({simds * LANES}, {residents})))"
    return f"\n#undef __global__\n#define __global__ __attribute__((global)) {limit}\n"
