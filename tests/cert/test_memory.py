"""`tq-cert bench memory`: one process per method, MLX's counters, and what is refused."""

import json
import sys

import msgspec
import pytest

from tq_cert.cli import main
from tq_cert.lanes.envelope import ModelInfo
from tq_cert.lanes.errors import CodesNotReadError, MeasurementProcessError
from tq_cert.lanes.memory import lane
from tq_cert.lanes.memory.record import Job, MemoryReport, MemoryRow, MemoryScope, Peaks
from tq_cert.lanes.memory.table import cells
from tq_cert.lanes.tables import TIMES
from tq_cert.progress import Silent

MODEL = ModelInfo("m", "llama", "llama", "0", "0", "float32", 2, (64,))


@pytest.fixture(scope="module")
def prose(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "prose.txt"
    path.write_text("The quick brown fox jumps over the lazy dog, again and again. " * 20)
    return path


@pytest.fixture
def arguments(tiny_llama_directory, prose):
    scope = ["--context", "600", "--steps", "3", "--chunk", "256"]
    return ["bench", "memory", "--model", str(tiny_llama_directory), "--text", str(prose), *scope]


def test_a_report_says_when_each_cache_was_compressed_and_what_it_holds(arguments, tmp_path, capsys):
    methods = "dense,mlx:kv4,preset:lloyd_k4v4,preset:equal_noise_k4v4"
    path = tmp_path / "report.json"
    assert main([*arguments, "--methods", methods, "--start", "300", "--out", str(path)]) == 0
    report = msgspec.json.decode(path.read_bytes(), type=MemoryReport)
    assert f"{TIMES} 16-bit dense" in capsys.readouterr().out
    dense, kv4, *ours = report.rows
    assert [row.upgraded_at for row in report.rows] == [None, 512, 512, 512]
    assert {row.tokens for row in report.rows} == {602}
    # 602 tokens in steps of 256, two layers, keys and values of one head, float32; 4 bits and two float32 per 64.
    assert dense.cache_bytes == 768 * 2 * 2 * 64 * 4
    assert kv4.cache_bytes == dense.cache_bytes * 5 // 32
    assert dense.used_bytes == 602 * 2 * 2 * 64 * 4
    assert kv4.used_bytes == dense.used_bytes * 5 // 32
    assert [row.codes_read > 0 for row in report.rows] == [False, False, True, True]
    for row in report.rows:
        assert row.weights_bytes < min(row.peaks.prefill, row.peaks.decode) < row.weights_bytes + 1e8
        assert row.peaks.overall == max(row.peaks.prefill, row.peaks.upgrade or 0, row.peaks.decode)
        assert row.model.dtype == report.model.dtype == "float32"
        assert row.used_bytes <= row.cache_bytes
        assert len(row.step_seconds) == 3
        assert 0 < sum(row.step_seconds) <= row.seconds[2]
    assert all(row.cache_bytes < 0.6 * dense.cache_bytes for row in ours)


def test_the_cast_is_what_the_cache_holds(arguments, capsys):
    assert main([*arguments, "--methods", "dense", "--dtype", "bfloat16", "--json"]) == 0
    (row,) = msgspec.json.decode(capsys.readouterr().out, type=MemoryReport).rows
    assert row.model.dtype == "bfloat16"
    assert row.cache_bytes == 768 * 2 * 2 * 64 * 2


@pytest.mark.parametrize(
    ("change", "code", "kind", "says"),
    [
        (["--context", "1"], 2, "OptionError", "too small"),
        (["--context", "100000"], 2, "MeasurementProcessError", "100000"),
        (["--model", "no-such-model"], 2, "MeasurementProcessError", "no-such-model"),
        (["--methods", "kv4"], 2, "UnknownMethodError", "kv4"),
    ],
)
def test_errors_have_a_type_and_a_remedy(change, code, kind, says, arguments, capsys):
    assert main([*arguments, "--methods", "dense", *change, "--json"]) == code
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == kind
    assert says in error["message"]
    assert error["remedy"]


def test_a_research_only_family_needs_the_opt_in(arguments, tiny_qwen_directory, capsys):
    arguments = [*arguments, "--model", str(tiny_qwen_directory), "--methods", "preset:lloyd_k4v4"]
    assert main(arguments) == 3
    assert "--research" in capsys.readouterr().err
    assert main([*arguments, "--research"]) == 0


def program(monkeypatch, code):
    monkeypatch.setattr(lane, "PROGRAM", (sys.executable, "-c", code))


def row(**changes):
    peaks = Peaks(prefill=100, upgrade=None, decode=90)
    whole = MemoryRow("dense", MODEL, False, 40, peaks, 24, 20, 10, 0, None, (1.0, 0.0, 1.0), (0.1,))
    return msgspec.structs.replace(whole, **changes)


def test_a_killed_process_is_an_error_that_says_so(monkeypatch):
    program(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(MeasurementProcessError, match="killed by signal 9"):
        lane.memory_rows([Job("m", None, "dense", None, MemoryScope())], Silent())


def test_codes_that_nobody_read_are_an_error(monkeypatch):
    answer = msgspec.json.encode(row(method="preset:x"))
    program(monkeypatch, f"import sys; sys.stdout.buffer.write({answer!r})")
    with pytest.raises(CodesNotReadError):
        lane.memory_rows([Job("m", None, "preset:x", {}, MemoryScope())], Silent())


def test_the_table_sets_peaks_and_caches_against_the_dense_run():
    ours = row(
        method="ours", peaks=Peaks(prefill=60, upgrade=70, decode=65), cache_bytes=6, used_bytes=5, upgraded_at=7
    )
    shown = cells(ours, row())
    assert shown[2] == "0.700"  # 70 of 100
    assert shown[4] == "0.500"  # 30 of 60, without the weights
    assert shown[-2:] == ("0.250", "0.500")  # a float32 cache takes twice what 16 bits would
