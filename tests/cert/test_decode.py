"""`tq-cert bench decode`: what it times, what it reports, what it refuses."""

import json
from pathlib import Path

import msgspec
import pytest

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.cli import main
from tq_cert.lanes.decode import copying
from tq_cert.lanes.decode.attention import Case, chain, distinct_caches, layer_of
from tq_cert.lanes.decode.document import page, read
from tq_cert.lanes.decode.methods import forms, read_bytes
from tq_cert.lanes.decode.record import AttentionRow, CopyRow, DecodeReport, StepRow
from tq_cert.lanes.decode.settings import DENSE, QUANTIZED, Shape
from tq_cert.lanes.decode.step import filled
from tq_cert.lanes.decode.table import grids, notes

ROOT = Path(__file__).parents[2]
COMMITTED = list(read(ROOT / "docs" / "measurements" / "decode"))
QUICK = ["bench", "decode", "--device", "cpu", "--repeats", "3", "--shapes", "4,2,64", "--contexts", "260"]
CASE = Case(Shape(4, 2, 64), batch=2, context=300)


@pytest.fixture(autouse=True)
def small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(copying.SIZE, "cpu", 1 << 16)


@pytest.fixture(scope="module")
def written(tiny_llama_directory: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(copying.SIZE, "cpu", 1 << 16)
        command = [*QUICK, "--contexts", "260,300", "--batch", "1,2", "--layers-per-eval", "2", "--pipeline", "2"]
        command += ["--presets", "uniform_k4v4,lloyd_k4v4", "--model", str(tiny_llama_directory)]
        command += ["--step-contexts", "260", "--out", str(folder / "report.json")]
        assert main([*command, "--markdown", str(folder / "report.md"), "--plot", str(folder / "plot.svg")]) == 0
    return folder


@pytest.fixture(scope="module")
def report(written: Path) -> DecodeReport:
    return msgspec.json.decode((written / "report.json").read_bytes(), type=DecodeReport)


def test_rows(report: DecodeReport) -> None:
    """Every case in every form; every method on the model; one copy."""
    assert [row for row in report.rows if isinstance(row, CopyRow)] == [report.rows[0]]
    attention = [row for row in report.rows if isinstance(row, AttentionRow)]
    assert {(row.method, row.dtype, row.batch, row.context) for row in attention} == {
        (method, dtype, batch, context)
        for method, dtype in (
            *((name, dtype) for name in (DENSE, QUANTIZED) for dtype in ("float32", "bfloat16")),
            ("preset:uniform_k4v4", "float32"),
            ("preset:lloyd_k4v4", "float32"),
        )
        for batch in (1, 2)
        for context in (260, 300)
    }
    steps = [row for row in report.rows if isinstance(row, StepRow)]
    assert [row.method for row in steps] == [DENSE, QUANTIZED, "preset:uniform_k4v4", "preset:lloyd_k4v4"]
    assert [(row.compressed_layers, row.layers) for row in steps] == [(0, 2), (2, 2), (2, 2), (2, 2)]
    for row in report.rows:
        assert row.times is not None
        assert len(row.times.clock.samples) == len(row.times.processor.samples) == 3


def test_bytes_are_those_of_the_live_arrays(report: DecodeReport) -> None:
    sizes = {(row.method, row.dtype, row.batch, row.context): row.nbytes for row in report.rows[1:25]}
    assert sizes[DENSE, "float32", 1, 300] == 2 * 2 * 300 * 64 * 4
    assert sizes[DENSE, "bfloat16", 2, 300] == 2 * 2 * 2 * 300 * 64 * 2
    assert sizes[QUANTIZED, "float32", 1, 300] == 2 * 2 * 300 * (64 // 2 + 2 * 4)
    coded, dense = 128, 300 - 128  # two blocks: 4 sinks, and a tail of less than 192
    codes = 2 * 2 * (coded * (32 + 2) + dense * 64 * 4)
    centre = 2 * 64 * 4 + 2 * 2 * (32 + 2)  # means, and two coded deviations per head
    assert sizes["preset:lloyd_k4v4", "float32", 1, 300] == codes + centre


def test_growth_capacity_is_not_read() -> None:
    cache = tq_mlx.TurboQuantKVCache(tq_mlx.TurboQuantConfig.from_preset("lloyd_k4v4"))
    x = mx.random.normal((1, 2, 700, 64))
    cache.load_history(x, x)
    assert 0 < read_bytes(cache) < cache.nbytes


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_form_attends_to_the_same_history(dtype: str) -> None:
    """The forms differ by the error of four bits, not by what they compute."""
    q = mx.random.normal((2, 4, 1, 64), key=mx.random.key(9))
    outs = {
        form.method: layer_of(form, CASE).attend(q.astype(form.dtype)).astype(mx.float32)
        for form in forms(("uniform_k4v4", "lloyd_k4v4"))
        if form.dtype_name == dtype or form.method.startswith("preset:")
    }
    truth = outs.pop(DENSE)
    assert len(outs) == 3
    for out in outs.values():
        error = mx.abs(out - truth).max().item()
        assert 0 < error < 0.25 * mx.abs(truth).max().item()


@pytest.mark.parametrize("number", range(5))
def test_layers_of_a_chain_have_caches_of_their_own_and_wait_for_each_other(number: int) -> None:
    form = list(forms(("lloyd_k4v4",)))[number]
    first = layer_of(form, CASE)
    before, second = mx.get_active_memory(), first.copy()
    assert mx.get_active_memory() >= before + first.nbytes
    q = mx.random.normal((2, 4, 1, 64)).astype(form.dtype)
    assert mx.array_equal(first.attend(q), second.attend(q)).item()
    assert mx.array_equal(chain([first, second], q)(), first.attend(first.attend(q))).item()


def test_layers_share_caches_where_memory_is_short(report: DecodeReport) -> None:
    settings = msgspec.structs.replace(report.settings, layers=16, memory_gb=8)
    assert [distinct_caches(nbytes, settings) for nbytes in (1000, 10**9, 3 * 10**9, 9 * 10**9)] == [16, 8, 2, 1]
    assert {row.caches for row in report.rows if isinstance(row, AttentionRow)} == {2}


def test_what_cannot_be_measured_is_reported_with_the_reason(
    report: DecodeReport, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def missing(*_: object, **__: object) -> mx.array:
        raise ValueError("[kernel] none for D=64\nand more")

    monkeypatch.setattr("tq_cert.lanes.decode.methods.quantized_scaled_dot_product_attention", missing)
    assert main([*QUICK, "--presets", "lloyd_k4v4", "--json"]) == 0
    rows = msgspec.json.decode(capsys.readouterr().out, type=DecodeReport).rows
    unmeasured = [row for row in rows if isinstance(row, AttentionRow) and row.times is None]
    assert [(row.method, row.problem) for row in unmeasured] == [(QUANTIZED, "[kernel] none for D=64")] * 2
    report = msgspec.structs.replace(report, rows=rows)
    cells = [row[-1] for grid in grids(report) for row in grid.rows]
    assert cells.count("not measurable: [kernel] none for D=64") == 2


def test_tables_plot_and_page_show_every_method(report: DecodeReport, written: Path) -> None:
    for grid in grids(report):
        assert {len(row) for row in grid.rows} == {len(grid.headings)}
    assert len(notes(report)) == 2
    table, plot = (written / "report.md").read_text(), (written / "plot.svg").read_text()
    for name in ("dense", "mlx:kv4", "uniform_k4v4", "lloyd_k4v4"):
        assert f"| {name} |" in table
        assert name in plot
    assert "Whole decode steps" in page([report])
    assert report.created in page([report])


def test_the_page_is_what_the_reports_say() -> None:
    assert COMMITTED
    assert (ROOT / "docs" / "decode.md").read_text() == page(COMMITTED)


def test_contexts_are_filled(tiny_llama_loaded) -> None:
    caches = filled(tiny_llama_loaded.model, 70)
    assert [cache.offset for cache in caches] == [70, 70]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--presets", "lloyd_k5v5"], "lloyd_k5v5"),
        (["--shapes", "4,2"], "4,2"),
        (["--shapes", "5,2,64"], "5 query heads"),
        (["--contexts", "2k"], "2k"),
        (["--contexts", "300,300"], "twice"),
        (["--batch", "0"], "one below 1"),
        (["--repeats", "2"], "2 is too small"),
        (["--layers-per-eval", "0"], "0 is too small"),
        (["--pipeline", "0"], "0 is too small"),
        (["--memory", "0"], "0 is too small"),
        (["--plot", "x.bmp"], "x.bmp"),
    ],
    ids=str,
)
def test_bad_options_exit_2(arguments: list[str], message: str, capsys) -> None:
    assert main([*QUICK, *arguments, "--json"]) == 2
    assert message in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_context_without_codes_is_a_finding(capsys) -> None:
    """Or the figure of a compressed method would be that of its dense tail."""
    assert main([*QUICK, "--contexts", "100", "--json"]) == 1
    assert "leaves nothing coded" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_a_device_that_is_not_there_exits_2(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(mx, "is_available", lambda device: False)
    assert main([*QUICK, "--device", "gpu", "--json"]) == 2
    assert "no gpu" in json.loads(capsys.readouterr().out)["error"]["message"]
