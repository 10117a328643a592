"""A decode report for people."""

from collections.abc import Iterator, Sequence

from tq_cert.lanes.decode.record import AttentionRow, CopyRow, DecodeReport, DecodeRow, StepRow
from tq_cert.lanes.decode.settings import DENSE, QUANTIZED
from tq_cert.lanes.encode.record import Timing
from tq_cert.lanes.encode.table import spread_of
from tq_cert.lanes.tables import TIMES, Grid, megabytes


def grids(report: DecodeReport) -> Iterator[Grid]:
    """One table per shape and batch, and one of whole steps."""
    bandwidth = next(row.bandwidth for row in report.rows if isinstance(row, CopyRow))
    attention = [row for row in report.rows if isinstance(row, AttentionRow)]
    for shape, batch in dict.fromkeys((row.shape, row.batch) for row in attention):
        rows = [row for row in attention if (row.shape, row.batch) == (shape, batch)]
        yield attention_grid(f"Attention alone: {shape}, batch {batch}", rows, bandwidth)
    steps = [row for row in report.rows if isinstance(row, StepRow)]
    if steps and report.model:
        yield step_grid(f"Whole decode steps: {report.model.name} in {report.model.dtype}", steps)


def notes(report: DecodeReport) -> tuple[str, ...]:
    """What a reader of the tables must know."""
    settings = report.settings
    copy = next(row for row in report.rows if isinstance(row, CopyRow))
    return (
        f"Medians of {settings.repeats} timings, taken in turns within a context; least: the fastest; ±: half the "
        f"distance between the quartiles. {TIMES} compares medians. Attention: per layer, {settings.layers} in one "
        "evaluation.",
        f"Copying {megabytes(copy.nbytes / 2)} MB moves {copy.bandwidth / 1e9:.1f} GB/s, read and write counted; "
        "share: bytes read over the least time, of that.",
    )


def attention_grid(title: str, rows: Sequence[AttentionRow], bandwidth: float) -> Grid:
    return Grid(
        title=title,
        headings=(
            *("method", "dtype", "tokens", "ms", "least", "±", f"{TIMES} dense bf16", f"{TIMES} {QUANTIZED}"),
            *("MB read", "share of copy", "path"),
        ),
        rows=tuple(attention_cells(row, rows, bandwidth) for row in rows),
        notes=(),
    )


def attention_cells(row: AttentionRow, rows: Sequence[AttentionRow], bandwidth: float) -> tuple[str, ...]:
    name, tokens = row.method.removeprefix("preset:"), str(row.context)
    if row.timing is None:
        return (name, row.dtype, tokens, "", "", "", "", "", "", "", f"not measurable: {row.problem}")
    beside = [other for other in rows if other.context == row.context]
    dense = [other.timing for other in beside if (other.method, other.dtype) == (DENSE, "bfloat16")]
    return (
        name,
        row.dtype,
        tokens,
        *times(row.timing),
        ratio(row.timing, dense),
        ratio(row.timing, [other.timing for other in beside if other.method == QUANTIZED]),
        megabytes(row.nbytes),
        f"{row.nbytes / min(row.timing.samples) / bandwidth:.1%}",
        row.path,
    )


def step_grid(title: str, rows: Sequence[StepRow]) -> Grid:
    return Grid(
        title=title,
        headings=(
            "method",
            "tokens",
            "ms",
            "least",
            "±",
            f"{TIMES} dense",
            f"{TIMES} {QUANTIZED}",
            "layers",
            "cache MB",
        ),
        rows=tuple(step_cells(row, rows) for row in rows),
        notes=(),
    )


def step_cells(row: StepRow, rows: Sequence[StepRow]) -> tuple[str, ...]:
    name, tokens = row.method.removeprefix("preset:"), str(row.context)
    if row.timing is None:
        return (name, tokens, "", "", "", "", "", "", f"not measurable: {row.problem}")
    beside = [other for other in rows if other.context == row.context]
    return (
        name,
        tokens,
        *times(row.timing),
        ratio(row.timing, [other.timing for other in beside if other.method == DENSE]),
        ratio(row.timing, [other.timing for other in beside if other.method == QUANTIZED]),
        f"{row.compressed_layers}/{row.layers}",
        megabytes(row.cache_bytes),
    )


def times(timing: Timing) -> tuple[str, str, str]:
    """Median and least in milliseconds, and the spread."""
    return f"{timing.median * 1e3:.2f}", f"{min(timing.samples) * 1e3:.2f}", spread_of(timing)


def ratio(timing: Timing, others: Sequence[Timing | None]) -> str:
    """The median over that of the fastest of the others; empty where none was measured."""
    measured = [other.median for other in others if other is not None]
    return f"{timing.median / min(measured):.2f}" if measured else ""


def measured_rows(rows: Sequence[DecodeRow]) -> list[AttentionRow]:
    """The rows of attention alone that have a timing."""
    return [row for row in rows if isinstance(row, AttentionRow) and row.timing is not None]
