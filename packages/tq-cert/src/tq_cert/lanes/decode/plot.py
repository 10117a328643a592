"""The plot of a decode report: time of attention against the length of the context, one panel per shape and batch."""

from pathlib import Path

from tq_cert.lanes.decode.record import DecodeReport
from tq_cert.lanes.decode.table import cost, measured_rows
from tq_cert.lanes.plots import figure_class, save


def write_plot(report: DecodeReport, path: Path) -> None:
    """Draw the report into a file whose suffix names the format."""
    rows = measured_rows(report.rows)
    panels = list(dict.fromkeys((row.shape, row.batch) for row in rows))
    figure = figure_class()(figsize=(6 * max(1, len(panels)), 5), layout="constrained")
    for axes, (shape, batch) in zip(figure.subplots(1, max(1, len(panels)), squeeze=False)[0], panels, strict=False):
        here = [row for row in rows if (row.shape, row.batch) == (shape, batch)]
        for method, dtype in dict.fromkeys((row.method, row.dtype) for row in here):
            line = [row for row in here if (row.method, row.dtype) == (method, dtype)]
            points = [
                (row.context, cost(row.times, report.settings.device) * 1e3) for row in line if row.times is not None
            ]
            axes.plot(*zip(*points, strict=True), marker="o", label=f"{method.removeprefix('preset:')} {dtype}")
        axes.set_title(f"{shape}, batch {batch}")
        axes.set_xlabel("tokens")
        axes.set_ylabel("attention of one layer, ms")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.grid(visible=True, which="both", alpha=0.25)
        axes.legend(fontsize=7)
    save(figure, path)
