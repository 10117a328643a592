"""A sweep report for people: the Pareto front beside the references, and what each lever is worth."""

from collections.abc import Iterator

from tq_cert.lanes.quality.table import columns_for, notes
from tq_cert.lanes.sweep.effects import effects
from tq_cert.lanes.sweep.record import SweepReport
from tq_cert.lanes.tables import TIMES, Grid


def grids(report: SweepReport) -> Iterator[Grid]:
    """The front and the references by stored bits; the levers' effects, where any was switched."""
    points = sum(row.point is not None for row in report.rows)
    shown = sorted(
        (row for row in report.rows if row.pareto or row.point is None), key=lambda row: row.quality.stored_bits.model16
    )
    qualities = [row.quality for row in shown]
    columns = columns_for(qualities)
    scope = report.settings.scope
    title = (
        f"Pareto front of {points} configurations: {report.model_name}, {scope.windows} {TIMES} {scope.context} tokens"
    )
    yield Grid(
        title=f"{title}, {scope.mode}",
        headings=tuple(column.heading for column in columns),
        rows=tuple(tuple(column.cell(row) for column in columns) for row in qualities),
        notes=notes(qualities, report),
    )
    found = effects(report.rows)
    if found:
        yield Grid(
            title="Levers: KL with the lever on, as a multiple of KL with it off",
            headings=("lever", "pairs", "geometric mean", "from", "to", "added bits"),
            rows=tuple(
                (e.lever, str(e.pairs), f"{e.ratio:.3f}", f"{e.least:.3f}", f"{e.most:.3f}", f"{e.bits:+.3f}")
                for e in found
            ),
            notes=(),
        )
