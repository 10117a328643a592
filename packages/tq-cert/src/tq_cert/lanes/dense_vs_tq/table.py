"""A dense-vs-tq report for people."""

from tq_cert.lanes.dense_vs_tq.record import CompareReport, CompareRow
from tq_cert.lanes.quality.methods import DENSE
from tq_cert.lanes.tables import TIMES, Grid, against, megabytes
from tq_cert.lanes.timing import spread_of


def grids(report: CompareReport) -> tuple[Grid, ...]:
    """One table per prompt length, each against its dense run."""
    scope, model = report.settings.scope, report.model
    name = f"{model.name} in {model.dtype}" if model else report.model_name
    return tuple(
        Grid(
            title=f"{name}, {context} tokens of prompt, {scope.steps} decoded",
            headings=(
                *("method", "prefill tokens/s", "±", "decode tokens/s", "±", f"{TIMES} dense"),
                *("peak MB", f"{TIMES} dense", "cache MB", "used MB", f"{TIMES} dense"),
            ),
            rows=rows(report, context),
            notes=notes(report) if context == scope.contexts[-1] else (),
        )
        for context in scope.contexts
    )


def rows(report: CompareReport, context: int) -> tuple[tuple[str, ...], ...]:
    here = [row for row in report.rows if row.context == context]
    dense = next((row for row in here if row.method == DENSE), None)
    return tuple(cells(row, dense) for row in here)


def cells(row: CompareRow, dense: CompareRow | None) -> tuple[str, ...]:
    return (
        row.method,
        f"{row.prefill_speed:.1f}",
        spread_of(row.prefill),
        f"{row.decode_speed:.2f}",
        spread_of(row.step),
        against(row.decode_speed, dense and dense.decode_speed),
        megabytes(row.peaks.overall),
        against(row.peaks.overall, dense and dense.peaks.overall),
        megabytes(row.cache_bytes),
        megabytes(row.used_bytes),
        against(row.used_bytes, dense and dense.used_bytes),
    )


def notes(report: CompareReport) -> tuple[str, ...]:
    """What a reader of the numbers must know."""
    scope = report.settings.scope
    return (
        f"Speeds are of median times: of {scope.repeats} prefills, and of all decode steps of {scope.repeats} "
        "processes; ±: half the distance between the quartiles.",
        "Peak: MLX's own counter, weights included, over prefill, compression and decode. Used: what the cached tokens "
        "take, tail and sinks included, without growth capacity.",
        f"Measured {report.origin}.",
    )
