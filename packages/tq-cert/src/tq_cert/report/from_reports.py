"""A page of a folder's benchmark reports: every `*.json` below it that a lane wrote."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tq_cert.errors import FileAccessError
from tq_cert.lanes.decode import table as decode
from tq_cert.lanes.decode.record import DecodeReport
from tq_cert.lanes.dense_vs_tq import table as dense_vs_tq
from tq_cert.lanes.dense_vs_tq.record import CompareReport
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
from tq_cert.report.lane_charts import compare_charts, decode_charts, layer_charts, quality_charts
from tq_cert.report.page import Chart, Page, Section


@dataclass(frozen=True)
class Lane:
    """A lane that the page knows.

    Attributes:
        record: its report.
        grids: a report's tables.
        title: of its section.
        text: what the section is about.
        charts: of reports of one model; None for a lane that is shown in tables alone.
    """

    record: Any
    grids: Callable[[Any], Iterable[Grid]]
    title: str
    text: str
    charts: Callable[[Sequence[Any]], Iterator[Chart]] | None = None


LANES = {
    "quality": Lane(
        QualityReport,
        quality.grids,
        "Quality against size",
        "Each method runs the same text as the uncompressed model; KL says how far its predictions move away, 0 being "
        "not at all.",
        quality_charts,
    ),
    "dense_vs_tq": Lane(
        CompareReport,
        dense_vs_tq.grids,
        "Size and speed against context",
        "The same prompts with a dense and with compressed caches, each run in a process of its own.",
        compare_charts,
    ),
    "memory": Lane(MemoryReport, memory.grids, "Memory of a generation", "One prompt, one process per method."),
    "layer_error": Lane(
        LayerErrorReport,
        layer_error.grids,
        "Error by layer",
        "How far decoded keys and values are from those that went in, layer by layer.",
        layer_charts,
    ),
    "decode": Lane(
        DecodeReport,
        decode.grids,
        "Time of attention against context",
        "One new token's attention over caches of several kinds, in turns of one run.",
        decode_charts,
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
    return Page("TurboQuant for MLX: what was measured", None, tuple(summary), facts(found), tuple(sections))


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
    if lane.charts:
        for model in dict.fromkeys(one.report.model_name for one in found):
            charts += lane.charts([one.report for one in found if one.report.model_name == model])
    grids = tuple(grid for one in found for grid in lane.grids(one.report))
    return Section(lane.title, lane.text, tuple(charts), grids)


def facts(found: Sequence[Found]) -> tuple[tuple[str, str], ...]:
    """Where every report comes from."""
    return tuple((one.path, one.report.origin) for one in found)
