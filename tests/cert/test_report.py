"""`tq-cert report`: one page, whole and readable in a browser, of benchmark reports or of a bundle."""

import contextlib
import html as entities
import io
import itertools
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from tests.cert.browser import find_browser, run_page

import evidence_bundle as eb
from tq_cert.cli import main
from tq_cert.lanes.dense_vs_tq.record import CompareReport, CompareRow, CompareScope, CompareSettings
from tq_cert.lanes.envelope import Envelope, ModelInfo, to_json
from tq_cert.lanes.layer_error.record import LayerError, LayerErrorReport, LayerErrorRow, LayerErrorSettings
from tq_cert.lanes.memory.record import Peaks
from tq_cert.lanes.provenance import collect
from tq_cert.lanes.quality.record import QualityReport
from tq_cert.lanes.tables import Grid
from tq_cert.lanes.timing import Timing
from tq_cert.report.bundle_charts import chart_sections
from tq_cert.report.draw import LINE, free_place, own_ids, svg
from tq_cert.report.from_reports import page_of_reports
from tq_cert.report.html import html, numeric_columns
from tq_cert.report.page import Chart, Curve, Page, Point, Section
from tq_contract import load

ROOT = Path(__file__).parents[2]
QUALITY = ROOT / "docs" / "measurements" / "quality"
MODEL = ModelInfo("A model", "llama", "llama", "0" * 64, "1" * 64, "float32", 2, (64,))
VOID = {"meta", "br", "hr", "img", "link", "input"}


def compare_report() -> CompareReport:
    """Two methods at three lengths: made-up numbers."""
    methods = ("dense", "preset:lloyd_k4v4")
    rows = tuple(
        CompareRow(method, context, context, Timing.of([1.0]), None, Timing.of([0.01, 0.02 * factor, 0.03]),
                   Peaks(int(1e8 * factor), None, 9), 1000, context * 5000, context * int(4000 * factor), 3)
        for context in (256, 1024, 4096)
        for method, factor in zip(methods, (1.0, 0.3), strict=True)
    )  # fmt: skip
    settings = CompareSettings(CompareScope(contexts=(256, 1024, 4096)), methods)
    return Envelope("dense_vs_tq", 1, "2026-01-02T03:04:05+00:00", settings, collect(), MODEL, None, rows)


def layer_report() -> LayerErrorReport:
    rows = (LayerErrorRow("preset:lloyd_k4v4", (LayerError(0, 0.01, 0.02), LayerError(1, 0.03, 0.04))),)
    created = "2026-01-02T03:04:05+00:00"
    return Envelope("layer_error", 1, created, LayerErrorSettings(), collect(), MODEL, None, rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Real quality reports of one model, and made-up ones of two more lanes."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "quality").mkdir()
    for name in ("llama-mlx.json", "llama-presets.json"):
        shutil.copy(QUALITY / name, folder / "quality")
    (folder / "compare.json").write_bytes(to_json(compare_report()))
    (folder / "layers.json").write_bytes(to_json(layer_report()))
    (folder / "other.json").write_text('{"lane": "of tomorrow"}')
    return folder


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert main(["report", str(folder), "--html", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """The valid bundle of tests, in a directory."""
    folder = tmp_path_factory.mktemp("bundle")
    for name, content in eb.bundle().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def bundle_page(bundle: Path, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundle-page") / "bundle.html"
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main(["report", str(bundle), "--html", str(path), "--json"]) == 0
    assert json.loads(output.getvalue()) == {"written": [str(path)], "verdict": "passed"}
    return path


class Strict(HTMLParser):
    """Every element closed in its turn, every id once; keeps texts, ids, and what is referred to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.references: list[str] = []
        self.names: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.ids += [value] if name == "id" else []
            self.references += [value] if name in ("src", "href", "xlink:href", "action", "data") else []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def parsed(path: Path) -> Strict:
    return Strict(path.read_text())


def test_the_page_is_whole_and_needs_nothing_else(page: Path) -> None:
    found = parsed(page)
    assert len(found.ids) == len(set(found.ids))
    assert found.references
    assert all(reference.startswith("#") and reference[1:] in found.ids for reference in found.references)
    assert "script" not in found.names
    urls = set(re.findall(r"url\(([^)]*)\)", page.read_text()))
    assert all(url[1:] in found.ids for url in urls)
    assert found.names.count("svg") == 1 + 3 + 2  # quality; bytes, peak and time; keys and values


def test_the_page_says_where_its_numbers_come_from(page: Path) -> None:
    text = " ".join(parsed(page).texts)
    for report in (msgspec.json.decode(path.read_bytes(), type=QualityReport) for path in QUALITY.glob("llama-*.json")):
        assert report.provenance.line in text
        for row in report.rows:
            assert row.method in text
            assert f"{row.stored_bits.model16:.2f}" in text
    assert "no lane of this release wrote them: other.json" in text
    assert "Nothing here was measured on Apple hardware." in text


def test_the_same_chart_gives_the_same_bytes() -> None:
    (section,) = page_of_reports(QUALITY.parent / "quality").sections
    assert svg(section.charts[0], "a") == svg(section.charts[0], "a")


def test_texts_from_reports_are_escaped() -> None:
    evil = "<script>alert(1)</script>&\"'"
    chart = Chart(evil, evil, evil, evil, (Curve(evil, (Point(1, 1, name=evil),)),))
    grid = Grid(evil, (evil,), ((evil,),), (evil,))
    text = html(Page(evil, None, (evil,), ((evil, evil),), (Section(evil, evil, (chart,), (grid,)),)))
    found = Strict(text)
    assert "script" not in found.names
    assert entities.unescape(text).count(evil) >= 12


def test_ids_of_one_chart_stay_apart_from_those_of_another() -> None:
    svg = '<svg><g id="a"/><use xlink:href="#a"/><path clip-path="url(#b)"/></svg>'
    assert own_ids(svg, "x") == '<svg><g id="x-a"/><use xlink:href="#x-a"/><path clip-path="url(#x-b)"/></svg>'


def test_a_bundles_page_has_its_derived_verdict_and_every_gate(bundle_page: Path) -> None:
    found = parsed(bundle_page)
    text = " ".join(found.texts)
    assert 'class="verdict passed"' in bundle_page.read_text()
    assert "The bundle is intact. It is not signed." in text
    for stage in eb.EDITION.stages:
        assert stage.name in found.texts
        assert all(gate.metric in found.texts for gate in stage.gates)
    for model in eb.manifest().models:
        assert model.weights_sha256 in text
    for family in ("llama", "gemma"):
        for wanted in (
            "KL against stored bits",
            *(f"{what} against context" for what in ("Cache bytes", "Peak memory", "Time per token")),
            *(f"Error of the {side} by layer" for side in ("keys", "values")),
        ):
            assert any(title.startswith(f"{wanted}: {family}") for title in found.texts)
    assert "mlx-lm's own, 4 bits" in found.texts


def test_a_bundles_page_explains_itself_before_it_lists_every_gate(bundle_page: Path) -> None:
    texts = parsed(bundle_page).texts
    certification = load().certification
    assert all(one.summary in texts for one in (*certification.stages, *certification.metrics))
    order = [texts.index(title) for title in ("Every stage", "Quality against size", "Every gate")]
    assert order == sorted(order)


def test_peaks_of_other_stages_are_not_drawn_as_those_of_the_sweep() -> None:
    """Two stages record a peak under one name, each above something else."""
    (memory,) = (run.series for run in eb.runs() if run.stage == "memory")
    assert any(one.name == "peak_bytes" for one in memory)
    assert list(chart_sections(("llama",), {"memory": memory})) == []


def test_columns_of_numbers_and_no_others_are_aligned_to_the_right() -> None:
    row = ("a", "", "-1.5e-06", "+3.0%", "6 of 6", "0.1 to 0.9", "at most 1", "")
    grid = Grid("", row, (row, ("b", "2", "0", "100%", "1 of 3", "", "2", "")), ())
    assert numeric_columns(grid) == (False, True, True, True, True, True, False, False)


def test_of_a_bundle_with_a_fault_no_page_is_made(bundle: Path, tmp_path: Path, capsys) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    (broken / "manifest.json").write_bytes((broken / "manifest.json").read_bytes().replace(b"M3", b"M4"))
    assert main(["report", str(broken), "--html", str(tmp_path / "broken.html"), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "FaultyBundleError"
    assert "manifest.json" in error["message"]
    assert not (tmp_path / "broken.html").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{empty}", "--html", "{empty}/x.html"], "no benchmark report"),
        (["{empty}"], "nothing is to be written"),
        (["{empty}/none", "--html", "{empty}/x.html"], "there is no"),
        (["{bundle}", "--picture", "{empty}/x.svg"], "no folder of benchmark reports"),
    ],
)
def test_refusals(arguments, says, bundle: Path, tmp_path: Path, capsys) -> None:
    filled = [argument.format(empty=tmp_path, bundle=bundle) for argument in arguments]
    assert main(["report", *filled]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_reports_of_attention_alone_have_their_charts_and_no_two_runs_share_a_curve() -> None:
    (section,) = page_of_reports(ROOT / "docs" / "measurements" / "decode").sections
    titles = [chart.title for chart in section.charts]
    assert any("EPYC" in title for title in titles)
    assert any("H200" in title for title in titles)
    assert len(titles) == len(set(titles))
    for curve in (curve for chart in section.charts for curve in chart.curves):
        contexts = [point.x for point in curve.points]
        assert contexts == sorted(set(contexts))


def test_the_readmes_picture_is_what_the_reports_say(tmp_path: Path) -> None:
    path = tmp_path / "quality.svg"
    assert main(["report", str(QUALITY), "--picture", str(path)]) == 0
    assert path.read_bytes() == (ROOT / "docs" / "images" / "quality.svg").read_bytes()
    assert "docs/images/quality.svg" in (ROOT / "README.md").read_text()


BROWSER = find_browser()


def test_a_browser_is_there_where_one_is_promised() -> None:
    assert BROWSER or not os.environ.get("TQ_TEST_BROWSER")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: the pages' layout is not checked (strict parsing is)")
@pytest.mark.parametrize(("source", "charts"), [("page", 6), ("bundle", 12)])
@pytest.mark.parametrize("width", [500, 1100])
def test_a_browser_lays_every_chart_out(source, charts, width, page: Path, bundle_page: Path, tmp_path: Path) -> None:
    path = page if source == "page" else bundle_page
    script = """
        const boxes = [...document.querySelectorAll('figure svg')].map(svg => svg.getBoundingClientRect());
        const paths = [...document.querySelectorAll('figure svg path')];
        const drawn = paths.filter(path => path.getBoundingClientRect().width > 0);
        return {
            widths: boxes.map(box => Math.round(box.width)), heights: boxes.map(box => Math.round(box.height)),
            drawn: drawn.length, page: document.documentElement.scrollWidth, window: window.innerWidth,
            resources: performance.getEntriesByType('resource').length, mode: document.compatMode,
            rows: document.querySelectorAll('tbody tr').length,
        };"""
    answer, log = run_page(BROWSER, path, script, tmp_path, width)
    found = json.loads(answer)
    assert log == []
    assert found["mode"] == "CSS1Compat"
    assert found["resources"] == 0  # nothing was fetched
    assert len(found["widths"]) == charts
    assert min(found["widths"]) > 0.8 * (found["window"] - 40)
    assert all(0.4 < high / wide < 0.8 for wide, high in zip(found["widths"], found["heights"], strict=True))
    assert found["drawn"] > 10 * charts
    assert found["page"] <= found["window"]  # wide tables scroll by themselves
    assert found["rows"] > 10


def test_names_of_points_that_lie_on_one_another_do_not():
    point = (97.0, 103.0, 97.0, 103.0)
    taken = [point]
    for _ in range(8):
        away, left, _ = free_place(100.0, 100.0, 50.0, (0.0, 300.0), taken)
        assert away < 40
        assert 0 < left < 250
    assert len(taken) == 9
    for one, other in itertools.combinations(taken, 2):
        apart = one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
        assert apart
    assert {round(top - bottom, 6) for _, _, bottom, top in taken[1:]} == {LINE}


def test_a_name_goes_left_where_there_is_no_room_right():
    assert free_place(290.0, 100.0, 50.0, (0.0, 300.0), [])[1] < 240
