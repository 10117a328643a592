"""A memory report for people."""

from tq_cert.lanes.memory.record import MemoryReport, MemoryRow
from tq_cert.lanes.quality.methods import DENSE
from tq_cert.lanes.tables import TIMES, Grid, against, megabytes


def grids(report: MemoryReport) -> tuple[Grid, ...]:
    """One table: peaks by phase, and the cache at the end, absolute and against the dense run."""
    scope, model = report.settings.scope, report.rows[0].model
    dense = next((row for row in report.rows if row.method == DENSE), None)
    return (
        Grid(
            title=f"{model.name} in {model.dtype}, {scope.context} tokens of prompt, {scope.steps} decoded, "
            f"compressed from {scope.start} on",
            headings=(
                *("method", "peak MB", f"{TIMES} dense", "without weights", f"{TIMES} dense"),
                *(
                    "prefill",
                    "upgrade",
                    "at",
                    "decode",
                    "cache MB",
                    "used MB",
                    f"{TIMES} dense",
                    f"{TIMES} 16-bit dense",
                ),
            ),
            rows=tuple(cells(row, dense) for row in report.rows),
            notes=notes(report),
        ),
    )


def cells(row: MemoryRow, dense: MemoryRow | None) -> tuple[str, ...]:
    peaks, own = row.peaks, row.peaks.overall - row.weights_bytes
    return (
        row.method,
        megabytes(peaks.overall),
        against(peaks.overall, dense and dense.peaks.overall),
        megabytes(own),
        against(own, dense and dense.peaks.overall - dense.weights_bytes),
        megabytes(peaks.prefill),
        "" if peaks.upgrade is None else megabytes(peaks.upgrade),
        "" if row.upgraded_at is None else str(row.upgraded_at),
        megabytes(peaks.decode),
        megabytes(row.cache_bytes),
        megabytes(row.used_bytes),
        against(row.used_bytes, dense and dense.used_bytes),
        against(row.used_bytes, dense and sixteen_bit(dense)),
    )


def sixteen_bit(dense: MemoryRow) -> float:
    """Bytes that the dense cache's tokens would take if its numbers had 16 bits."""
    return dense.used_bytes / (2 if dense.model.dtype == "float32" else 1)


def notes(report: MemoryReport) -> tuple[str, ...]:
    """What a reader of the numbers must know."""
    return (
        "Peaks are MLX's own counter, weights included; one process per run. Cache: allocated bytes at the end, growth "
        "capacity included; used: what its tokens take of them, and that against the dense run's.",
        "16-bit dense: the dense cache at two bytes a number; a float32 run stores its own dense tokens in four.",
        f"Measured {report.origin}.",
    )
