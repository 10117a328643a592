"""A decode report for people."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tq_cert.lanes.decode.record import AttentionRow, CopyRow, DecodeReport, DecodeRow, StepRow
from tq_cert.lanes.decode.settings import DENSE, QUANTIZED, Device
from tq_cert.lanes.tables import TIMES, Grid, megabytes
from tq_cert.lanes.timing import Times, spread_of

UNITS: dict[Device, tuple[str, float]] = {"cpu": ("ms", 1e3), "gpu": ("µs", 1e6)}
"""What times are shown in, and how many of it a second has."""


ATTENTION_HEADINGS = (f"{TIMES} dense bf16", "MB read", "of copy", "path")


def grids(report: DecodeReport) -> tuple[Grid, ...]:
    """One table per shape and batch, and one of whole steps; the last with what a reader of all of them must know."""
    *tables, last = tables_of(report)
    return (*tables, replace(last, notes=(*notes(report), f"Measured {report.origin}.")))


def tables_of(report: DecodeReport) -> Iterator[Grid]:
    """The same without notes."""
    copy, device = copy_of(report), report.settings.device
    attention = [row for row in report.rows if isinstance(row, AttentionRow)]
    for shape, batch in dict.fromkeys((row.shape, row.batch) for row in attention):
        rows = [row for row in attention if (row.shape, row.batch) == (shape, batch)]
        yield Grid(
            title=f"Attention alone: {shape}, batch {batch}",
            headings=("method", "dtype", "tokens", *times_in(device), *ATTENTION_HEADINGS),
            rows=tuple(attention_cells(row, rows, copy.bandwidth, device) for row in rows),
            notes=(),
        )
    steps = [row for row in report.rows if isinstance(row, StepRow)]
    if steps and report.model:
        yield Grid(
            title=f"Whole decode steps: {report.model.name} in {report.model.dtype}",
            headings=("method", "tokens", *times_in(device), f"{TIMES} dense", "layers", "cache MB"),
            rows=tuple(step_cells(row, steps, device) for row in steps),
            notes=(),
        )


def notes(report: DecodeReport) -> tuple[str, ...]:
    """What a reader of the tables must know."""
    settings, copy = report.settings, copy_of(report)
    compared = "least processor times" if settings.device == "cpu" else "medians"
    together = f", {settings.pipeline} such evaluations under way one after the other" if settings.pipeline > 1 else ""
    caches = {row.caches for row in report.rows if isinstance(row, AttentionRow)}
    shared = f" Where memory is short, {min(caches)} caches serve a chain." if len(caches) > 1 else ""
    threads = f" BLAS threads: {settings.blas_threads}." if settings.blas_threads else ""
    return (
        f"{UNITS[settings.device][0]}: median of {settings.repeats} timings on the clock, taken in turns within a "
        "context; ±: half the distance between their quartiles; least: the fastest; processor: the least processor "
        f"time. {TIMES} compares {compared}; {QUANTIZED} in its faster dtype. Attention: per layer, {settings.layers} "
        f"in one evaluation{together}.{shared}{threads}",
        f"Copying {megabytes(copy.nbytes / 2)} MB moves {copy.bandwidth / 1e9:.1f} GB/s, read and write counted; "
        "of copy: bytes read over the least time, as a share of that.",
    )


def copy_of(report: DecodeReport) -> CopyRow:
    return next(row for row in report.rows if isinstance(row, CopyRow))


def attention_cells(
    row: AttentionRow, rows: Sequence[AttentionRow], bandwidth: float, device: Device
) -> tuple[str, ...]:
    name, tokens = row.method.removeprefix("preset:"), str(row.context)
    if row.times is None:
        return (name, row.dtype, tokens, *[""] * (len(times_in(device)) + 3), f"not measurable: {row.problem}")
    beside = [other for other in rows if other.context == row.context]
    dense = [other for other in beside if (other.method, other.dtype) == (DENSE, "bfloat16")]
    return (
        name,
        row.dtype,
        tokens,
        *time_cells(row.times, beside, device),
        ratio(row.times, dense, device),
        megabytes(row.nbytes),
        f"{row.nbytes / min(row.times.clock.samples) / bandwidth:.1%}",
        row.path,
    )


def step_cells(row: StepRow, rows: Sequence[StepRow], device: Device) -> tuple[str, ...]:
    name, tokens = row.method.removeprefix("preset:"), str(row.context)
    if row.times is None:
        return (name, tokens, *[""] * (len(times_in(device)) + 2), f"not measurable: {row.problem}")
    beside = [other for other in rows if other.context == row.context]
    return (
        name,
        tokens,
        *time_cells(row.times, beside, device),
        ratio(row.times, [other for other in beside if other.method == DENSE], device),
        f"{row.compressed_layers}/{row.layers}",
        megabytes(row.cache_bytes),
    )


def times_in(device: Device) -> tuple[str, ...]:
    """The headings of ``time_cells``."""
    return (UNITS[device][0], "±", "least", "processor", f"{TIMES} {QUANTIZED}")


def time_cells(times: Times, beside: Sequence[AttentionRow | StepRow], device: Device) -> tuple[str, ...]:
    """What a row says of its times."""
    per_second = UNITS[device][1]
    return (
        f"{times.clock.median * per_second:.2f}",
        spread_of(times.clock),
        f"{min(times.clock.samples) * per_second:.2f}",
        f"{min(times.processor.samples) * per_second:.2f}",
        ratio(times, [other for other in beside if other.method == QUANTIZED], device),
    )


def ratio(times: Times, others: Sequence[AttentionRow | StepRow], device: Device) -> str:
    """The cost over that of the cheapest of the others; empty where none was measured."""
    measured = [cost(other.times, device) for other in others if other.times is not None]
    return f"{cost(times, device) / min(measured):.2f}" if measured else ""


def cost(times: Times, device: Device) -> float:
    """What methods are compared by: on a CPU the processor time, which other work on the machine moves less."""
    return min(times.processor.samples) if device == "cpu" else times.clock.median


def measured_rows(rows: Sequence[DecodeRow]) -> list[AttentionRow]:
    """The rows of attention alone that have a timing."""
    return [row for row in rows if isinstance(row, AttentionRow) and row.times is not None]
