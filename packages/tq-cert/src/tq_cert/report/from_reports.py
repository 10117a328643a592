"""A page of a folder's benchmark reports: every `*.json` below it that a lane wrote."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from tq_cert.errors import FileAccessError
from tq_cert.lanes.decode import table as decode
from tq_cert.lanes.decode.record import DecodeReport
from tq_cert.lanes.dense_vs_tq import table as dense_vs_tq
from tq_cert.lanes.dense_vs_tq.record import CompareReport, CompareRow
from tq_cert.lanes.encode import table as encode
from tq_cert.lanes.encode.record import EncodeReport
from tq_cert.lanes.inner_product_bias import table as inner_product_bias
from tq_cert.lanes.inner_product_bias.record import BiasReport
from tq_cert.lanes.kv_paper_eval import table as kv_paper_eval
from tq_cert.lanes.kv_paper_eval.record import EvalReport
from tq_cert.lanes.layer_error import table as layer_error
from tq_cert.lanes.layer_error.record import LayerErrorReport
from tq_cert.lanes.memory import table as memory
from tq_cert.lanes.memory.record import MemoryReport
from tq_cert.lanes.quality import table as quality
from tq_cert.lanes.quality.record import QualityReport
from tq_cert.lanes.sweep import table as sweep
from tq_cert.lanes.sweep.record import SweepReport
from tq_cert.lanes.tables import Grid
from tq_cert.lanes.vector_search import table as vector_search
from tq_cert.lanes.vector_search.record import SearchReport
from tq_cert.report.errors import NothingToReportError
from tq_cert.report.page import Chart, Curve, Page, Point, Section
from tq_cert.report.quality_chart import quality_chart


@dataclass(frozen=True)
class Lane:
    """A lane that the page knows: its report, its tables, and what they are about."""

    record: Any
    grids: Callable[[Any], Iterable[Grid]]
    title: str
    text: str


LANES = {
    "quality": Lane(
        QualityReport,
        quality.grids,
        "Quality against size",
        "Each method runs the same text as the uncompressed model; KL says how far its predictions move away, 0 being "
        "not at all.",
    ),
    "dense_vs_tq": Lane(
        CompareReport,
        dense_vs_tq.grids,
        "Size and speed against context",
        "The same prompts with a dense and with compressed caches, each run in a process of its own.",
    ),
    "memory": Lane(MemoryReport, memory.grids, "Memory of a generation", "One prompt, one process per method."),
    "layer_error": Lane(
        LayerErrorReport,
        layer_error.grids,
        "Error by layer",
        "How far decoded keys and values are from those that went in, layer by layer.",
    ),
    "decode": Lane(
        DecodeReport,
        decode.grids,
        "Time of attention against context",
        "One new token's attention over caches of several kinds, in turns of one run.",
    ),
    "encode": Lane(EncodeReport, encode.grids, "Cost of coding", "What coding new tokens adds to decoding."),
    "kv_paper_eval": Lane(
        EvalReport, kv_paper_eval.grids, "The papers' evaluations", "What was measured, and what was not and why."
    ),
    "inner_product_bias": Lane(
        BiasReport, inner_product_bias.grids, "Estimated inner products", "Bias and variance against theory."
    ),
    "vector_search": Lane(SearchReport, vector_search.grids, "Vector search", "The codecs as indexes of vectors."),
    "sweep": Lane(SweepReport, sweep.grids, "Bit budget", "Every combination of bits that was measured."),
}


@dataclass(frozen=True)
class Found:
    """A report and the file that it was in."""

    path: str
    lane: str
    report: Any


def page_of_reports(folder: Path) -> Page:
    """The page of all reports below the folder.

    Raises:
        NothingToReportError: there is no report that this release knows.
        FileAccessError: a file cannot be read.
    """
    found, others = read_reports(folder)
    if not found:
        raise NothingToReportError(str(folder), others)
    lanes = {one.lane for one in found}
    sections = [section(name, [one for one in found if one.lane == name]) for name in LANES if name in lanes]
    summary = [f"{len(found)} benchmark reports of {len(lanes)} kinds. They measure; they give no verdict."]
    if others:
        summary.append(f"Not shown, because no lane of this release wrote them: {', '.join(others)}.")
    if not any("macOS" in one.report.provenance.platform for one in found):
        summary.append("Nothing here was measured on Apple hardware.")
    return Page("TurboQuant for MLX: what was measured", None, None, tuple(summary), facts(found), tuple(sections))


def read_reports(folder: Path) -> tuple[list[Found], list[str]]:
    """The reports by path, and the other JSON files' paths."""
    found, others = list[Found](), list[str]()
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise FileAccessError(str(path), error) from error
        try:
            lane = msgspec.json.decode(content, type=Tagged).lane
            found.append(Found(name, lane, msgspec.json.decode(content, type=LANES[lane].record)))
        except (msgspec.DecodeError, KeyError):
            others.append(name)
    return found, others


class Tagged(msgspec.Struct):
    """What every report begins with."""

    lane: str


def section(name: str, found: Sequence[Found]) -> Section:
    """One lane's charts, model by model, and the tables of all its reports."""
    lane = LANES[name]
    charts: list[Chart] = []
    if name in CHARTS:
        models = dict.fromkeys(one.report.model.name for one in found if one.report.model)
        for model in models:
            reports = [one.report for one in found if one.report.model and one.report.model.name == model]
            charts += CHARTS[name](model, reports)
    grids = tuple(grid for one in found for grid in lane.grids(one.report))
    return Section(lane.title, lane.text, tuple(charts), grids)


def facts(found: Sequence[Found]) -> tuple[tuple[str, str], ...]:
    """Where every report comes from."""
    return tuple(
        (one.path, f"{one.report.created}, {one.report.provenance.line}; sources {short(one)}") for one in found
    )


def short(one: Found) -> str:
    return f"{one.report.provenance.sources_sha256[:16]}…"


def quality_charts(model: str, reports: Sequence[QualityReport]) -> Iterator[Chart]:
    yield quality_chart(f"KL against stored bits: {model}", reports)


def compare_charts(model: str, reports: Sequence[CompareReport]) -> Iterator[Chart]:
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
        curves = by_label([(row.method.removeprefix("preset:"), point(row)) for row in rows])
        yield Chart(f"{title} against context: {model}", sentence, "tokens of prompt", y, curves, log_x=True)


def decode_charts(_: str, reports: Sequence[DecodeReport]) -> Iterator[Chart]:
    rows = [row for report in reports for row in decode.measured_rows(report.rows)]
    for shape, batch in dict.fromkeys((row.shape, row.batch) for row in rows):
        curves = by_label(
            [
                (f"{row.method.removeprefix('preset:')} {row.dtype}", Point(row.context, row.times.clock.median * 1e3))
                for row in rows
                if (row.shape, row.batch) == (shape, batch) and row.times is not None
            ]
        )
        heads = f"{shape.query_heads}/{shape.kv_heads} heads of {shape.head_dim}, {batch} rows"
        sentence = "Median of one layer, from the call to the result."
        yield Chart(f"Attention against context: {heads}", sentence, "tokens in the cache", "ms", curves, log_x=True)


def layer_charts(model: str, reports: Sequence[LayerErrorReport]) -> Iterator[Chart]:
    rows = [row for report in reports for row in report.rows]
    for side in ("keys", "values"):
        curves = by_label(
            [
                (row.method.removeprefix("preset:"), Point(layer.layer, getattr(layer, side)))
                for row in rows
                for layer in row.layers
            ]
        )
        sentence = "Squared error over squared norm, mean over tokens and heads."
        yield Chart(f"Error of the {side} by layer: {model}", sentence, "layer", "relative squared error", curves)


def by_label(points: Iterable[tuple[str, Point]]) -> tuple[Curve, ...]:
    """One curve per label, in the order in which the labels come."""
    curves: dict[str, list[Point]] = {}
    for label, point in points:
        curves.setdefault(label, []).append(point)
    return tuple(Curve(label, tuple(sorted(found, key=lambda p: p.x))) for label, found in curves.items())


CHARTS = cast(
    "dict[str, Callable[[str, Sequence[Any]], Iterator[Chart]]]",
    {"quality": quality_charts, "dense_vs_tq": compare_charts, "decode": decode_charts, "layer_error": layer_charts},
)
