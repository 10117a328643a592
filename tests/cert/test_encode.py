"""`tq-cert bench encode`: what it times, what it reports, what it refuses."""

import json
from pathlib import Path

import msgspec
import pytest

import tq_contract
import tq_mlx  # noqa: F401  (first: it loads OpenBLAS before MLX is imported)

# isort: split
import mlx.core as mx

from kernel_executor.executor import run_by_executor
from tq_cert.cli import main
from tq_cert.lanes.encode import step
from tq_cert.lanes.encode.presets import own_presets
from tq_cert.lanes.encode.record import CodecRow, EncodeReport, StepRow
from tq_cert.lanes.encode.step import block_coding, decode_step, prepare
from tq_cert.lanes.encode.table import grids
from tq_cert.lanes.envelope import to_json
from tq_cert.lanes.timing import Timing
from tq_cert.lanes.turns import clocked_in_turns
from tq_cert.progress import Silent
from tq_mlx.kernels import encode as kernels

QUICK = ["--device", "cpu", "--repeats", "3", "--heads", "1", "--context", "260"]


@pytest.fixture(scope="module")
def report(tiny_llama_directory: Path, tmp_path_factory) -> EncodeReport:
    path = tmp_path_factory.mktemp("report") / "report.json"
    command = ["bench", "encode", "--model", str(tiny_llama_directory), *QUICK, "--head-dims", "64,80"]
    assert main([*command, "--presets", "uniform_k4v4,lloyd_k4v4", "--out", str(path)]) == 0
    return msgspec.json.decode(path.read_bytes(), type=EncodeReport)


def test_rows(report: EncodeReport) -> None:
    """Every preset × side × head dimension, then every preset on the model."""
    codecs = [row for row in report.rows if isinstance(row, CodecRow)]
    assert {(row.preset, row.side, row.head_dim) for row in codecs} == {
        (preset, side, dim)
        for preset in ("uniform_k4v4", "lloyd_k4v4")
        for side in ("keys", "values")
        for dim in (64, 80)
    }
    assert all(row.values == 64 * row.head_dim for row in codecs)
    assert {(row.preset, row.codec) for row in codecs} == {("uniform_k4v4", "uniform 4"), ("lloyd_k4v4", "mse 4")}
    steps = [row for row in report.rows if isinstance(row, StepRow)]
    assert [row.preset for row in steps] == ["uniform_k4v4", "lloyd_k4v4"]
    for row in steps:
        assert (row.compressed_layers, row.layers, row.block_tokens) == (2, 2, 64)
        assert row.share == pytest.approx(row.block.median / 64 / row.step.median)


def test_timings_are_medians_and_quartiles_of_what_was_taken(report: EncodeReport) -> None:
    assert Timing.of([4.0, 1.0, 3.0, 2.0, 5.0]) == Timing(3.0, 2.0, 4.0, (4.0, 1.0, 3.0, 2.0, 5.0))
    for row in report.rows:
        for timing in (row.encode, row.decode) if isinstance(row, CodecRow) else (row.step, row.block):
            assert len(timing.samples) == 3
            assert timing == Timing.of(list(timing.samples))
            assert timing.low > 0


def test_everything_is_timed_once_before_anything_is_timed_again() -> None:
    turns: list[str] = []
    jobs = {name: lambda name=name: turns.append(name) for name in "abc"}
    timings = clocked_in_turns(jobs, 4, Silent())
    assert "".join(turns) == "abc" * 5  # the first turn is not counted
    assert [len(timing.samples) for timing in timings.values()] == [4, 4, 4]


def test_a_step_codes_nothing_and_a_block_is_coded_whole(tiny_llama_loaded) -> None:
    ready = prepare(tiny_llama_loaded.model, "lloyd_k4v4", 260)
    before = [(cache.offset, cache.packed.length) for cache in ready.caches]
    decode = decode_step(tiny_llama_loaded.model, ready.caches)
    for _ in range(70):  # more than a block
        decode()
    assert [(cache.offset, cache.packed.length) for cache in ready.caches] == before
    packed = [cache.packed.length for cache in ready.coders]
    assert min(packed) > 0
    code = block_coding(ready.coders, ready.blocks)
    for turn in (1, 2, 3):
        mx.eval(code())
        assert [cache.packed.length for cache in ready.coders] == [length + 64 * turn for length in packed]


def test_blocks_are_the_newest_tokens_of_a_dense_run(tiny_llama_loaded) -> None:
    ready = prepare(tiny_llama_loaded.model, "lloyd_k4v4", 260)
    assert len(ready.coders) == len(ready.blocks) == 2
    for cache, (keys, values) in zip(ready.caches, ready.blocks, strict=True):
        tail = cache.tail.live()
        assert tail is not None
        assert mx.array_equal(tail[0][..., -64:, :], keys).item()
        assert mx.array_equal(tail[1][..., -64:, :], values).item()


def test_own_presets_are_the_supported_ones() -> None:
    kinds = {preset.name: preset.classification for preset in tq_contract.load().presets}
    assert own_presets()
    assert all((name in own_presets()) == (kind == "supported") for name, kind in kinds.items())


def test_json_without_a_model(capsys) -> None:
    assert main(["bench", "encode", *QUICK, "--head-dims", "64", "--presets", "lloyd_k4v4", "--json"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    document = json.loads(output.out)
    assert (document["lane"], document["model"], len(document["rows"])) == ("encode", None, 2)
    report = msgspec.json.decode(output.out, type=EncodeReport)
    assert msgspec.json.decode(to_json(report), type=EncodeReport) == report


def test_tables_show_every_row(report: EncodeReport) -> None:
    beside, alone = grids(report)
    assert [row[0] for row in beside.rows] == ["uniform_k4v4", "lloyd_k4v4"]
    assert len(alone.rows) == 8
    for grid in (beside, alone):
        assert {len(row) for row in grid.rows} == {len(grid.headings)}
    row = next(row for row in report.rows if isinstance(row, StepRow))
    assert beside.rows[0][-1] == f"{100 * row.share:.2f}%"


def test_a_kernel_is_timed_beside_the_reference(tiny_llama_directory: Path, capsys, monkeypatch) -> None:
    """Where there is a GPU; here its kernels are those of the tests' executor, on vectors of few tokens."""
    for module in (kernels, step):
        monkeypatch.setattr(module, "dialect", lambda: "metal")
    monkeypatch.setattr(kernels, "run_on", run_by_executor)
    command = ["bench", "encode", *QUICK, "--tokens", "5", "--head-dims", "64,80", "--presets", "lloyd_k4v4"]
    assert main([*command, "--model", str(tiny_llama_directory), "--json"]) == 0
    report = msgspec.json.decode(capsys.readouterr().out, type=EncodeReport)
    codecs = [row for row in report.rows if isinstance(row, CodecRow)]
    assert [(row.head_dim, row.values, row.fused is not None) for row in codecs] == [
        *[(64, 5 * 64, True)] * 2,
        *[(80, 5 * 80, False)] * 2,
    ]
    (block,) = [row for row in report.rows if isinstance(row, StepRow)]
    assert block.reference is not None
    beside, alone = grids(report)
    assert beside.headings[-1] == "\N{MULTIPLICATION SIGN} block"
    assert beside.rows[0][-1] == f"{block.reference.median / block.block.median:.1f}"
    assert [bool(row[-1]) for row in alone.rows] == [True, True, False, False]
    for grid in (beside, alone):
        assert {len(row) for row in grid.rows} == {len(grid.headings)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--presets", "lloyd_k5v5"], "lloyd_k5v5"),
        (["--presets", "lloyd_k4v4,lloyd_k4v4"], "twice"),
        (["--head-dims", "64,x"], "64,x"),
        (["--head-dims", "64,64"], "twice"),
        (["--head-dims", "0"], "one below 1"),
        (["--repeats", "2"], "2 is too small"),
        (["--heads", "0"], "0 is too small"),
        (["--tokens", "0"], "0 is too small"),
    ],
    ids=str,
)
def test_bad_options_exit_2(arguments: list[str], message: str, capsys) -> None:
    assert main(["bench", "encode", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "remedy:" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--head-dims", "7"], "head_dim 7"), (["--head-dims", "64", "--context", "100"], "--context 196")],
    ids=str,
)
def test_what_the_runtime_cannot_do_exits_3(
    arguments: list[str], message: str, tiny_llama_directory: Path, capsys
) -> None:
    command = ["bench", "encode", *QUICK, "--presets", "lloyd_k4v4", "--model", str(tiny_llama_directory)]
    assert main([*command, *arguments]) == 3
    assert message in capsys.readouterr().err


def test_a_research_only_family_needs_the_opt_in(tiny_qwen_directory: Path, capsys) -> None:
    command = ["bench", "encode", *QUICK, "--presets", "lloyd_k4v4", "--model", str(tiny_qwen_directory)]
    assert main([*command, "--head-dims", "64"]) == 3
    assert "research" in capsys.readouterr().err
    assert main([*command, "--head-dims", "64", "--research"]) == 0
