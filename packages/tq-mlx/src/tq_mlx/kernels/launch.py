"""One kernel call as values, and how it runs on this machine's GPU."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import mlx.core as mx

from tq_mlx.kernels.source_text import Dialect, body, digest, header

LANES = 32


@dataclass(frozen=True)
class Launch:
    """A call of one pass.

    Attributes:
        entry: name of the pass.
        inputs: arrays by their name in the kernel's text; strided ones are read where they lie.
        outputs: name → shape and dtype.
        constants: compiled in; one kernel is built for each combination.
        groups: threadgroups along y and z.
        simds: groups of 32 lanes per threadgroup.
        residents: threadgroups that are to share a multiprocessor; 0 lets the compiler choose.
    """

    entry: str
    inputs: dict[str, mx.array]
    outputs: dict[str, tuple[tuple[int, ...], mx.Dtype]]
    constants: tuple[tuple[str, Any], ...]
    groups: tuple[int, int]
    simds: int
    residents: int = 0


Run = Callable[[Launch], list[mx.array]]
"""Runs a launch and returns its outputs in order."""


def run_on(dialect: Dialect) -> Run:
    """Return what runs launches by MLX's own compiler for that dialect."""

    def run(launch: Launch) -> list[mx.array]:
        kernel = built(
            dialect, launch.entry, tuple(launch.inputs), tuple(launch.outputs), launch.simds, launch.residents
        )
        threads = launch.simds * LANES
        return kernel(
            inputs=list(launch.inputs.values()),
            template=list(launch.constants),
            grid=(threads, *launch.groups),
            threadgroup=(threads, 1, 1),
            output_shapes=[shape for shape, _ in launch.outputs.values()],
            output_dtypes=[dtype for _, dtype in launch.outputs.values()],
        )

    return run


@lru_cache
def built(
    dialect: Dialect, entry: str, inputs: tuple[str, ...], outputs: tuple[str, ...], simds: int, residents: int
) -> Any:
    """Return MLX's kernel for a pass; it compiles on first use, once for each combination of constants."""
    make = mx.fast.cuda_kernel if dialect == "cuda" else mx.fast.metal_kernel
    return make(
        name=f"turboquant_{entry}_{simds}_{residents}_{digest(dialect)}",
        input_names=list(inputs),
        output_names=list(outputs),
        source=body(entry),
        header=header(dialect) + bounds(dialect, simds, residents),
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
