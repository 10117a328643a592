"""The plot of a sweep: mean KL against stored bits, with the Pareto front and the references."""

from pathlib import Path
from typing import Any

from tq_cert.lanes.plots import figure_class, save
from tq_cert.lanes.sweep.grid import CODECS
from tq_cert.lanes.sweep.record import SweepReport, SweepRow
from tq_cert.lanes.tables import TIMES

MARKERS = {"mse": "o", "uniform": "s"}


def write_plot(report: SweepReport, path: Path) -> None:
    """Draw the report into a file whose suffix names the format."""
    figure = figure_class()(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    draw_grid(axes, report.rows)
    draw_front(axes, report.rows)
    draw_references(axes, report.rows)
    scope = report.settings.scope
    axes.set_title(f"{report.model_name}: {scope.windows} {TIMES} {scope.context} tokens, {scope.mode}")
    axes.set_xlabel("stored bits per value")
    axes.set_ylabel("mean KL(dense ‖ method), nats")
    axes.set_yscale("log")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend()
    save(figure, path)


def draw_grid(axes: Any, rows: tuple[SweepRow, ...]) -> None:
    for codec in CODECS:
        points = [place(row) for row in rows if row.point is not None and row.point.codec == codec]
        if points:
            axes.scatter(*zip(*points, strict=True), marker=MARKERS[codec], alpha=0.5, label=codec)


def draw_front(axes: Any, rows: tuple[SweepRow, ...]) -> None:
    front = sorted((row for row in rows if row.pareto), key=place)
    axes.plot(*zip(*map(place, front), strict=True), color="black", linewidth=1, label="Pareto front")
    for row in front:
        axes.annotate(
            row.quality.method, place(row), textcoords="offset points", xytext=(4, 4), fontsize=7, rotation=20
        )


def draw_references(axes: Any, rows: tuple[SweepRow, ...]) -> None:
    references = [row for row in rows if row.point is None and row.quality.kl.mean > 0]
    if references:
        axes.scatter(*zip(*map(place, references), strict=True), marker="x", color="red", label="references")
    for row in references:
        axes.annotate(
            row.quality.method, place(row), textcoords="offset points", xytext=(-6, 6), ha="right", color="red"
        )


def place(row: SweepRow) -> tuple[float, float]:
    """Where a row lies: stored bits and KL."""
    return row.quality.stored_bits.model16, row.quality.kl.mean
