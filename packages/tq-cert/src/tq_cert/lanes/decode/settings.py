"""What a decode measurement is asked to do."""

from typing import Literal, get_args

import msgspec

from tq_cert.errors import OptionError

Device = Literal["cpu", "gpu"]
DEVICES: tuple[Device, ...] = get_args(Device)

DENSE, QUANTIZED = "dense", "mlx:kv4"
"""Names of the methods that are not ours."""


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Heads of one attention layer: query heads, KV heads, head dimension."""

    query_heads: int
    kv_heads: int
    head_dim: int

    def __str__(self) -> str:
        return f"{self.query_heads}/{self.kv_heads} heads, D {self.head_dim}"


class DecodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every row of one report has in common.

    Attributes:
        device: of MLX.
        presets: measured beside dense attention and mlx-lm's quantized one, by name.
        contexts: tokens in the caches of attention alone.
        shapes: of attention alone.
        batches: rows of attention alone.
        layers: of a chain: attention over as many caches, one after the other, in one evaluation.
        pipeline: chains that are timed together, each built while the one before it runs, as a generation loop does.
        memory_gb: that the caches of one comparison may take; where they would take more, layers of a chain share them.
        step_contexts: tokens in the caches of a model's whole decode steps.
        repeats: timings of each row, one of every row of its context in turn.
        blas_threads: what OPENBLAS_NUM_THREADS says, or None.
    """

    device: Device
    presets: tuple[str, ...]
    contexts: tuple[int, ...] = (2048, 8192, 32768)
    shapes: tuple[Shape, ...] = (Shape(32, 8, 128), Shape(9, 3, 64))
    batches: tuple[int, ...] = (1,)
    layers: int = 1
    pipeline: int = 1
    memory_gb: int = 8
    step_contexts: tuple[int, ...] = (1024, 4096)
    repeats: int = 9
    blas_threads: str | None = None

    def check(self) -> None:
        """Raise OptionError for numbers out of range."""
        for option, value, least in (
            ("--layers-per-eval", self.layers, 1),
            ("--pipeline", self.pipeline, 1),
            ("--memory", self.memory_gb, 1),
            ("--repeats", self.repeats, 3),
            *(("--contexts", context, 2) for context in self.contexts),
            *(("--step-contexts", context, 2) for context in self.step_contexts),
            *(("--shapes", number, 1) for shape in self.shapes for number in msgspec.structs.astuple(shape)),
        ):
            if value < least:
                raise OptionError(option, f"{value} is too small", f"use {least} or more")
        for shape in self.shapes:
            if shape.query_heads % shape.kv_heads:
                problem = f"{shape.query_heads} query heads are no multiple of {shape.kv_heads} KV heads"
                raise OptionError("--shapes", problem, "write query heads, KV heads, head dimension")


def parse_shape(text: str) -> Shape:
    """One shape, written like 32,8,128; raises OptionError."""
    try:
        query_heads, kv_heads, head_dim = (int(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError("--shapes", f"{text!r} is no shape", "write query heads, KV heads, D: 32,8,128") from error
    return Shape(query_heads, kv_heads, head_dim)
