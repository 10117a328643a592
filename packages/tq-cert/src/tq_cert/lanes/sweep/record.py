"""The records of a sweep report."""

import msgspec

from tq_cert.lanes.envelope import Envelope
from tq_cert.lanes.quality.record import QualityRow
from tq_cert.lanes.quality.settings import Scope
from tq_cert.lanes.sweep.grid import GridPoint
from tq_cert.lanes.sweep.pareto import pareto_front


class SweepSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was combined, and the scope.

    Attributes:
        scope: of every measurement.
        codecs: of keys and values.
        k_bits: of the keys' codes.
        v_bits: of the values' codes.
        levers: that were switched on and off; the others stayed on.
        references: methods outside the grid, measured beside it.
    """

    scope: Scope
    codecs: tuple[str, ...]
    k_bits: tuple[int, ...]
    v_bits: tuple[int, ...]
    levers: tuple[str, ...]
    references: tuple[str, ...]


class SweepRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measured method.

    Attributes:
        point: its place in the grid; None for a reference.
        pareto: whether no other grid point has at most its stored bits and at most its KL.
        quality: the measurement.
    """

    point: GridPoint | None
    pareto: bool
    quality: QualityRow


SweepReport = Envelope[SweepSettings, SweepRow]


def sweep_rows(points: tuple[GridPoint, ...], rows: tuple[QualityRow, ...]) -> tuple[SweepRow, ...]:
    """Rows of the grid, in the points' order, followed by those of the references."""
    grid, references = rows[: len(points)], rows[len(points) :]
    front = pareto_front([(row.stored_bits.model16, row.kl.mean) for row in grid])
    return (
        *(SweepRow(point, on, row) for point, on, row in zip(points, front, grid, strict=True)),
        *(SweepRow(None, False, row) for row in references),
    )
