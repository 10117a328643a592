"""Charts of benchmark reports, lane by lane: each of reports of one lane and one model, or of none."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from tq_cert.lanes.decode.record import DecodeReport
from tq_cert.lanes.decode.table import measured_rows
from tq_cert.lanes.dense_vs_tq.record import CompareReport, CompareRow
from tq_cert.lanes.layer_error.record import LayerErrorReport
from tq_cert.lanes.quality.record import QualityReport
from tq_cert.report.page import Chart, Curve, Point
from tq_cert.report.quality_chart import quality_chart


def quality_charts(reports: Sequence[QualityReport]) -> Iterator[Chart]:
    """All methods of all reports in one."""
    yield quality_chart(f"KL against stored bits: {reports[0].model_name}", reports)


def compare_charts(reports: Sequence[CompareReport]) -> Iterator[Chart]:
    """Each figure, with a curve for every method."""
    rows = [row for report in reports for row in report.rows]
    figures: tuple[tuple[str, str, str, Callable[[CompareRow], Point]], ...] = (
        (
            "Cache bytes",
            "What the tokens in the cache take, without growth capacity.",
            "used cache, MB",
            lambda row: Point(row.context, row.used_bytes / 1e6),
        ),
        (
            "Peak memory",
            "MLX's own counter over prefill, compression and decode, weights included.",
            "peak, MB",
            lambda row: Point(row.context, row.peaks.overall / 1e6),
        ),
        (
            "Time per token",
            "Median decode step; bars from the first to the third quartile.",
            "decode step, ms",
            lambda row: Point(row.context, row.step.median * 1e3, row.step.low * 1e3, row.step.high * 1e3),
        ),
    )
    for title, sentence, y, point in figures:
        curves = by_label((row.method.removeprefix("preset:"), point(row)) for row in rows)
        title = f"{title} against context: {reports[0].model_name}"
        yield Chart(title, sentence, "tokens of prompt", y, curves, log_x=True)


def decode_charts(reports: Sequence[DecodeReport]) -> Iterator[Chart]:
    """One of every shape and batch of each report: times of different runs, or devices, share no curve."""
    for report in reports:
        rows = measured_rows(report.rows)
        for shape, batch in dict.fromkeys((row.shape, row.batch) for row in rows):
            curves = by_label(
                (f"{row.method.removeprefix('preset:')} {row.dtype}", Point(row.context, row.times.clock.median * 1e3))
                for row in rows
                if (row.shape, row.batch) == (shape, batch) and row.times is not None
            )
            title = f"Attention against context: {shape}, batch {batch}, {report.provenance.device}"
            sentence = "Median of one layer, from the call to the result."
            yield Chart(title, sentence, "tokens in the cache", "ms", curves, log_x=True)


def layer_charts(reports: Sequence[LayerErrorReport]) -> Iterator[Chart]:
    """Keys and values, with a curve for every method."""
    rows = [row for report in reports for row in report.rows]
    for side in ("keys", "values"):
        curves = by_label(
            (row.method.removeprefix("preset:"), Point(layer.layer, getattr(layer, side)))
            for row in rows
            for layer in row.layers
        )
        title = f"Error of the {side} by layer: {reports[0].model_name}"
        sentence = "Squared error over squared norm, mean over tokens and heads."
        yield Chart(title, sentence, "layer", "relative squared error", curves)


def by_label(points: Iterable[tuple[str, Point]]) -> tuple[Curve, ...]:
    """One curve per label, in the order in which the labels come."""
    curves: dict[str, list[Point]] = {}
    for label, point in points:
        curves.setdefault(label, []).append(point)
    return tuple(Curve(label, tuple(sorted(found, key=lambda p: p.x))) for label, found in curves.items())
