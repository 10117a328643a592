"""A chart as SVG: the same chart gives the same bytes."""

import math
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from tq_cert.lanes.plots import figure_class
from tq_cert.report.page import Chart, Curve, Point

COLOURS = ("#0b5fa5", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be123c", "#0f766e", "#52525b", "#4338ca", "#65a30d")
MARKERS = "osD^vP*Xd<"
SETTINGS = {"svg.hashsalt": "turboquant", "svg.fonttype": "none", "font.family": "sans-serif", "figure.dpi": "72"}
"""An SVG has 72 pixels to the inch: names are placed by those."""

HEADROOM = 1.15
"""Where a scale from zero ends, in units of the highest point."""

LETTER, LINE, GAP, DOT = 4.6, 8.5, 6.0, 3.5
"""Width of a letter of a point's name, height of its line, distance from the point, and half a point's size, in SVG's
own pixels."""

NEAR, REACH = 4, 60
"""From where on a line leads from a point to its name, and how far up or down that goes, in the same pixels."""


def draw(charts: Sequence[Chart], size: tuple[float, float], settings: Mapping[str, str] = SETTINGS) -> str:
    """The charts side by side as one SVG element, with one scale of y.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    new_figure = figure_class()
    from matplotlib import rc_context

    with rc_context(dict(settings)):
        figure = new_figure(figsize=size, layout="constrained")
        row = figure.subplots(1, len(charts), sharey=True, squeeze=False)[0]
        for axes, chart in zip(row, charts, strict=True):
            plot(axes, chart)
            axes.label_outer()
        if any(point.name for chart in charts for curve in chart.curves for point in curve.points):
            figure.draw_without_rendering()  # names are placed where the points have come to lie
        for axes, chart in zip(row, charts, strict=True):
            write_names(axes, chart)
        return written(figure)


def svg(chart: Chart, prefix: str) -> str:
    """One chart as an SVG element whose ids all begin with the prefix: several of them share one page."""
    return own_ids(draw([chart], (8, 4.6)), prefix)


def plot(axes: Any, chart: Chart) -> None:
    """Draw the chart's curves and axes, without the points' names."""
    for index, curve in enumerate(chart.curves):
        plot_curve(axes, curve, COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)])
    axes.set(title=chart.title, xlabel=chart.x, ylabel=chart.y)
    if chart.log_x:
        axes.set_xscale("log", base=2)
        ticks = sorted({point.x for curve in chart.curves for point in curve.points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    elif all(curve.line and point.x == int(point.x) for curve in chart.curves for point in curve.points):
        axes.xaxis.get_major_locator().set_params(integer=True)
    if chart.log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, HEADROOM * max(point.high or point.y for curve in chart.curves for point in curve.points))
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=8, loc="best" if any(curve.line for curve in chart.curves) else "lower left")


def plot_curve(axes: Any, curve: Curve, colour: str, marker: str) -> None:
    x, y = [point.x for point in curve.points], [point.y for point in curve.points]
    axes.plot(x, y, color=colour, marker=marker, markersize=5, linewidth=1.3 if curve.line else 0, label=curve.label)
    for point in curve.points:
        if point.low is not None and point.high is not None:
            axes.plot([point.x, point.x], [point.low, point.high], color=colour, linewidth=3, alpha=0.3)


Box = tuple[float, float, float, float]
"""Left, right, bottom and top, in pixels."""


def write_names(axes: Any, chart: Chart) -> None:
    """Write the points' names beside them, from the top down, where neither names nor points are in their way."""
    (begin, _), (end, _) = axes.transAxes.transform([(0, 0), (1, 1)])
    named: list[tuple[float, float, Point, str]] = []
    taken: list[Box] = []
    for index, curve in enumerate(chart.curves):
        for point in curve.points:
            (x, y), (_, low), (_, high) = axes.transData.transform(
                [(point.x, height) for height in (point.y, point.low or point.y, point.high or point.y)]
            )
            taken += [(x - DOT, x + DOT, y - DOT, y + DOT), (x - 1, x + 1, low, high)]
            if point.name:
                named.append((x, y, point, COLOURS[index % len(COLOURS)]))
    for x, y, point, colour in sorted(named, key=lambda one: (-one[1], one[0], one[2].name)):
        away, left, height = free_place(x, y, LETTER * len(point.name), (begin, end), taken)
        axes.annotate(
            point.name,
            (point.x, point.y),
            textcoords="offset pixels",
            xytext=(left - x, height - y),
            va="center",
            fontsize=7,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4} if away > NEAR else None,
        )


def free_place(
    x: float, y: float, width: float, between: tuple[float, float], taken: list[Box]
) -> tuple[float, float, float]:
    """The nearest free place for a name of that width: how far off it is, its left end, its height. It is then taken.

    Best is a place to the right of the point, then to its left, above and below.
    """
    places = [(lift, x + GAP, y + lift) for lift in range(-REACH, REACH + 1)]
    places += [(lift, x - GAP - width, y + lift) for lift in range(-REACH, REACH + 1)]
    places += [(lift, x - width / 2, y + lift + math.copysign(LINE, lift)) for lift in range(-REACH, REACH + 1)]
    for lift, left, height in sorted(places, key=lambda place: abs(place[0])):
        box = (left, left + width, height - LINE / 2, height + LINE / 2)
        inside = between[0] < box[0] and box[1] < between[1]
        if inside and not any(box[0] < b[1] and b[0] < box[1] and box[2] < b[3] and b[2] < box[3] for b in taken):
            taken.append(box)
            return abs(lift), left, height
    return 0, x + GAP, y


def written(figure: Any) -> str:
    """The figure's SVG element, without a date and without what precedes it in a file."""
    content = StringIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    text = content.getvalue()
    return text[text.index("<svg") :]


def own_ids(text: str, prefix: str) -> str:
    """The SVG with every id, and every reference to one, under the prefix."""
    text = re.sub(r'(\sid=")', rf"\g<1>{prefix}-", text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", text)
