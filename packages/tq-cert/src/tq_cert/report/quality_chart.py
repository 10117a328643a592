"""KL against stored bits: what quality reports of one model come to, in one chart."""

from collections.abc import Sequence

from tq_cert.lanes.quality.methods import DENSE
from tq_cert.lanes.quality.record import QualityReport, QualityRow
from tq_cert.report.page import Chart, Curve, Point
from tq_contract import load

OURS, PAPER, OLD, MLX = "our presets", "the papers' forms", "compatibility only", "mlx-lm's own cache"
KINDS = {"supported": OURS, "paper-facing": PAPER, "compatibility-only": OLD}


def quality_chart(name: str, reports: Sequence[QualityReport]) -> Chart:
    """The chart of one model."""
    rows = {row.method: row for report in reports for row in report.rows if row.kl.mean > 0 and row.method != DENSE}
    kinds = {f"preset:{preset.name}": KINDS[preset.classification] for preset in load().presets}
    groups: dict[str, list[QualityRow]] = {OURS: [], MLX: [], PAPER: [], OLD: []}
    for method, row in rows.items():
        groups.setdefault(kinds.get(method, MLX if method.startswith("mlx:") else "other"), []).append(row)
    return Chart(
        title=name,
        sentence="Lower is closer to the uncompressed model, further left is smaller. Bars: 95 % interval over windows "
        "of text.",
        x="stored bits per value, everything included",
        y="mean KL from the dense run, nats",
        curves=tuple(Curve(label, places(found), line=False) for label, found in groups.items() if found),
        log_y=True,
    )


def places(rows: Sequence[QualityRow]) -> tuple[Point, ...]:
    """Where the rows lie, fewest bits first."""
    return tuple(place(row) for row in sorted(rows, key=lambda row: row.stored_bits.model16))


def place(row: QualityRow) -> Point:
    """Where a row lies."""
    low, high = row.kl.interval or (None, None)
    bars = (low, high) if low is not None and low > 0 else (None, None)
    return Point(row.stored_bits.model16, row.kl.mean, *bars, name=row.method.removeprefix("preset:"))
