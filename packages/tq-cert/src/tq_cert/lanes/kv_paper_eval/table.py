"""A KV paper evaluation for people."""

from tq_cert.lanes.kv_paper_eval.catalogue import CATALOGUE
from tq_cert.lanes.kv_paper_eval.record import EvalReport, MeasuredRow, NotRunRow
from tq_cert.lanes.tables import Grid


def grids(report: EvalReport) -> tuple[Grid, ...]:
    """Every evaluation with its status, then the measured ones."""
    measured = [row for row in report.rows if isinstance(row, MeasuredRow)]
    tables = [
        Grid(
            title=f"{evaluation.name}: {report.model_name}, {report.settings.tier}",
            headings=("method", "context", "bits", "asked", "found", "share", "95 %", "nats a token"),
            rows=tuple(cells(row) for row in measured if row.evaluation == evaluation.name),
            notes=(),
        )
        for evaluation in CATALOGUE
        if any(row.evaluation == evaluation.name for row in measured)
    ]
    return (statuses(report), *tables)


def statuses(report: EvalReport) -> Grid:
    """What was measured and what was not, and why."""
    rows: list[tuple[str, ...]] = []
    for evaluation in CATALOGUE:
        contexts = sorted(
            {row.context for row in report.rows if isinstance(row, MeasuredRow) and row.evaluation == evaluation.name}
        )
        if contexts:
            where = ", ".join(map(str, contexts))
            rows.append((evaluation.name, "measured", where, evaluation.papers, evaluation.here or ""))
        for row in report.rows:
            if isinstance(row, NotRunRow) and row.evaluation == evaluation.name:
                where = "" if row.context is None else str(row.context)
                rows.append((evaluation.name, "not_run", where, evaluation.papers, row.reason))
    return Grid(
        title=f"What the papers evaluate: {report.settings.tier} tier",
        headings=("evaluation", "status", "contexts", "in the papers", "here"),
        rows=tuple(rows),
        notes=notes(report),
    )


def notes(report: EvalReport) -> tuple[str, ...]:
    scope = report.settings.scope
    return (
        f"Prompts of each length: {scope.haystacks}; needles in each: {scope.needles}; tokens of its passage: "
        f"{scope.passage}; {scope.mode}, {scope.layers} layers. Interval: Wilson's; tokens of one passage are not "
        "independent.",
        "No figure here is comparable with the papers': other models, other texts, shorter prompts.",
        f"Measured {report.origin}.",
    )


def cells(row: MeasuredRow) -> tuple[str, ...]:
    return (
        row.method,
        str(row.context),
        f"{row.stored_bits.model16:.2f}",
        str(row.asked),
        str(row.found),
        f"{row.share:.2f}",
        f"{row.interval[0]:.2f} to {row.interval[1]:.2f}",
        f"{row.nll:.3f}",
    )
