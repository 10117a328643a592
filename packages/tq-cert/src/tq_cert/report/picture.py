"""The single figure of the README: KL against stored bits of every model that has a quality report, side by side."""

from dataclasses import replace
from pathlib import Path

from tq_cert.lanes.quality.record import QualityReport
from tq_cert.report.draw import SETTINGS, draw
from tq_cert.report.errors import NothingToReportError
from tq_cert.report.from_reports import read_reports
from tq_cert.report.page import Chart
from tq_cert.report.quality_chart import MLX, OURS, quality_chart

OUTLINES = {**SETTINGS, "svg.fonttype": "path"}
"""Letters as outlines: the picture looks the same wherever it is shown."""

SHOWN = (OURS, MLX)


def picture(folder: Path) -> bytes:
    """The figure as an SVG file.

    Raises:
        NothingToReportError: there is no quality report below the folder.
        MissingDependencyError: matplotlib is not installed.
    """
    found, others = read_reports(folder)
    reports: list[QualityReport] = [one.report for one in found if one.lane == "quality"]
    names = sorted({report.model.name for report in reports if report.model})
    if not names:
        raise NothingToReportError(str(folder), others)
    by_model = {name: [one for one in reports if one.model and one.model.name == name] for name in names}
    charts = [shortened(quality_chart(name, own)) for name, own in by_model.items()]
    return draw(charts, (4.6 * len(names), 4.4), OUTLINES).encode()


def shortened(chart: Chart) -> Chart:
    """Only what a Mac's user chooses between."""
    curves = tuple(curve for curve in chart.curves if curve.label in SHOWN)
    return replace(chart, x="stored bits per value", curves=curves)
