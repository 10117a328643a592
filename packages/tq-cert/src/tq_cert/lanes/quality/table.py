"""A quality report for people: a table on the terminal, or GitHub Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tq_cert.lanes.envelope import Envelope
from tq_cert.lanes.quality.methods import BASELINE
from tq_cert.lanes.quality.record import QualityReport, QualityRow
from tq_cert.lanes.tables import TIMES, Grid


@dataclass(frozen=True)
class Column:
    """A column's heading and what it shows of a row."""

    heading: str
    cell: Callable[[QualityRow], str]


def grids(report: QualityReport) -> tuple[Grid, Grid]:
    """The results, and KL by position."""
    columns = columns_for(report.rows)
    results = Grid(
        title=heading(report),
        headings=tuple(column.heading for column in columns),
        rows=tuple(tuple(column.cell(row) for column in columns) for row in report.rows),
        notes=notes(report.rows, report),
    )
    edges = [f"{bucket.start}-{bucket.stop}" for bucket in report.rows[0].buckets]
    by_position = Grid(
        title="Mean KL by position",
        headings=("method", *edges),
        rows=tuple((row.method, *(number(bucket.kl) for bucket in row.buckets)) for row in report.rows),
        notes=(),
    )
    return results, by_position


def columns_for(rows: Sequence[QualityRow]) -> list[Column]:
    columns = [Column("method", lambda row: row.method), Column("bits", lambda row: f"{row.stored_bits.model16:.2f}")]
    if any(abs(row.stored_bits.as_run - row.stored_bits.model16) > 0.005 for row in rows):
        columns.append(Column("as run", lambda row: f"{row.stored_bits.as_run:.2f}"))
    columns += [Column("mean KL", lambda row: number(row.kl.mean)), Column("± 95 %", reach)]
    baseline = next((row.kl.mean for row in rows if row.method == BASELINE), 0.0)
    if baseline:
        columns.append(Column(f"{TIMES} {BASELINE}", lambda row: f"{row.kl.mean / baseline:.3f}"))
    columns += [
        Column("p50", lambda row: number(row.kl.p50)),
        Column("p99", lambda row: number(row.kl.p99)),
        Column("p99.9", lambda row: number(row.kl.p999)),
        Column("flips", lambda row: f"{row.flip_rate:.2%}"),
        Column("perplexity", lambda row: f"{row.perplexity:.3f}"),
        Column("change", lambda row: f"{row.perplexity_change:+.2%}"),
        Column("s", lambda row: f"{row.seconds:.1f}"),
    ]
    return columns


def reach(row: QualityRow) -> str:
    return "" if row.kl.interval is None else number(row.kl.interval[1] - row.kl.mean)


def number(value: float) -> str:
    """Three significant digits; zero stays apart from what is merely small."""
    if value == 0:
        return "0"
    return f"{value:.2g}" if abs(value) < 1e-4 else f"{value:.3g}"


def heading(report: QualityReport) -> str:
    scope = report.settings.scope
    layers = "all layers" if scope.layers == "all" else "default layers"
    families = ", research-only families admitted" if scope.research else ""
    return f"{report.model_name}, {scope.windows} {TIMES} {scope.context} tokens, {scope.mode}, {layers}{families}"


def notes(rows: Sequence[QualityRow], report: Envelope[Any, Any]) -> tuple[str, ...]:
    """What a reader of these rows of a report must know."""
    lines = [
        "KL(dense ‖ method) in nats, full vocabulary, teacher-forced; bits: stored bits per value of a 16-bit model."
    ]
    for row in rows:
        if 0 < row.compressed_layers < row.layers:
            lines.append(f"{row.method} compresses {row.compressed_layers} of {row.layers} layers.")
        if row.compressed_layers == 0 and row.kl.mean > 0:
            lines.append(f"The dense run differs from itself by {number(row.kl.mean)}: this backend's noise.")
    if report.model:
        lines.append(f"Keys and values of the dense run: {report.model.dtype}.")
    return (*lines, f"Measured {report.origin}.")
