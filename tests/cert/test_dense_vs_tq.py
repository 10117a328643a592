"""`tq-cert bench dense-vs-tq`: what its rows are made of, and that an interrupted run goes on."""

import json

import msgspec
import pytest

from tq_cert.cli import main
from tq_cert.lanes.dense_vs_tq import lane
from tq_cert.lanes.dense_vs_tq.record import CompareReport, CompareRow
from tq_cert.lanes.dense_vs_tq.table import cells
from tq_cert.lanes.envelope import ModelInfo
from tq_cert.lanes.errors import MeasurementProcessError
from tq_cert.lanes.memory.record import MemoryRow, Peaks
from tq_cert.lanes.timing import Timing

MODEL = ModelInfo("m", "llama", "llama", "0", "0", "float32", 2, (64,))


@pytest.fixture
def arguments(tiny_llama_directory, tmp_path):
    path = tmp_path / "prose.txt"
    path.write_text("The quick brown fox jumps over the lazy dog, again and again. " * 20)
    scope = ["--contexts", "200,600", "--steps", "3", "--chunk", "256", "--repeats", "1"]
    return ["bench", "dense-vs-tq", "--model", str(tiny_llama_directory), "--text", str(path), *scope]


def answer(job, seconds=0.5, **changes) -> MemoryRow:
    """What a process might have measured."""
    peaks = Peaks(prefill=100, upgrade=None, decode=90)
    tokens = job.scope.context + job.scope.steps - 1
    row = MemoryRow(job.method, MODEL, False, 40, peaks, 24, 20, tokens, 0, None, (seconds, 0.0, 0.3), (0.1, 0.2))
    return msgspec.structs.replace(row, **changes)


def test_real_runs(arguments, tmp_path, capsys):
    out, page = tmp_path / "r.json", tmp_path / "r.md"
    methods = ["--methods", "dense,preset:lloyd_k4v4", "--contexts", "600"]
    assert main([*arguments, *methods, "--out", str(out), "--markdown", str(page)]) == 0
    report = msgspec.json.decode(out.read_bytes(), type=CompareReport)
    assert [(row.context, row.method) for row in report.rows] == [(600, "dense"), (600, "preset:lloyd_k4v4")]
    for row in report.rows:
        assert row.tokens == row.context + 2
        assert (len(row.prefill.samples), len(row.step.samples)) == (1, 3)
        assert row.weights_bytes < row.peaks.overall
        assert row.used_bytes <= row.cache_bytes
        assert (row.codes_read > 0) == (row.method != "dense")
    dense, ours = report.rows
    assert dense.used_bytes == 602 * 2 * 2 * 64 * 4
    assert ours.used_bytes < 0.5 * dense.used_bytes
    assert report.model.head_dims == (64,)
    assert page.read_text().count("| preset:lloyd_k4v4 |") == 1
    assert not out.with_name("r.json.partial").exists()
    capsys.readouterr()


def test_everything_runs_once_before_anything_runs_again(arguments, monkeypatch, capsys):
    order = []

    def run(job):
        order.append((job.scope.context, job.method))
        return answer(job, seconds=len(order), step_seconds=(len(order), len(order)))

    monkeypatch.setattr(lane, "run_checked", run)
    assert main([*arguments, "--methods", "dense,mlx:kv4", "--repeats", "3", "--json"]) == 0
    once = [(200, "dense"), (200, "mlx:kv4"), (600, "dense"), (600, "mlx:kv4")]
    assert order == once * 3
    report = msgspec.json.decode(capsys.readouterr().out, type=CompareReport)
    assert [(row.context, row.method) for row in report.rows] == once
    assert report.rows[1].prefill == Timing.of([2.0, 6.0, 10.0])
    assert report.rows[1].step == Timing.of([2.0, 2.0, 6.0, 6.0, 10.0, 10.0])
    assert report.rows[1].prefill_speed == 200 / 6
    assert report.rows[1].decode_speed == 1 / 6


def test_an_interrupted_run_goes_on(arguments, monkeypatch, tmp_path, capsys):
    done = []

    def run(job):
        if len(done) == 3:
            raise MeasurementProcessError(job.method, -9, "")
        done.append(job.method)
        return answer(job)

    monkeypatch.setattr(lane, "run_checked", run)
    command = [*arguments, "--methods", "dense,mlx:kv4", "--out", str(tmp_path / "r.json")]
    assert main(command) == 2
    assert not (tmp_path / "r.json").exists()
    done.clear()
    assert main(command) == 0
    assert len(done) == 1  # three of four were there already
    assert len(json.loads((tmp_path / "r.json").read_bytes())["rows"]) == 4
    assert main([*command, "--steps", "4"]) == 2  # other settings: nothing of the old run counts
    capsys.readouterr()


def test_a_row_takes_the_highest_of_its_runs():
    class Job:
        method, scope = "preset:x", type("S", (), {"context": 10, "steps": 3})

    runs = [
        answer(Job, peaks=Peaks(100, None, 90), codes_read=4),
        answer(Job, peaks=Peaks(90, 120, 95), codes_read=5),
    ]
    row = CompareRow.of(10, runs)
    assert row.peaks == Peaks(100, 120, 95)
    assert row.codes_read == 9
    shown = cells(row, msgspec.structs.replace(row, peaks=Peaks(240, None, 0), used_bytes=40))
    assert (shown[7], shown[10]) == ("0.500", "0.500")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--contexts", "600,200"], "do not rise"),
        (["--contexts", "1"], "too small"),
        (["--repeats", "0"], "--repeats"),
        (["--steps", "0"], "--steps"),
    ],
)
def test_options_out_of_range(change, says, arguments, capsys):
    assert main([*arguments, *change]) == 2
    assert says in capsys.readouterr().err
