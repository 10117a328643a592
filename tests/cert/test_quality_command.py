"""`tq-cert bench quality` from the command line: output, files, exit codes, and a run that was killed."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from tq_cert.cli import main
from tq_cert.lanes.envelope import to_json
from tq_cert.lanes.quality.record import QualityReport
from tq_cert.lanes.quality.table import grids
from tq_cert.lanes.tables import TIMES, Grid, markdown, show


@pytest.fixture(scope="module")
def prose(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "prose.txt"
    path.write_text("The quick brown fox jumps over the lazy dog, again and again. " * 200)
    return path


@pytest.fixture
def arguments(tiny_llama_directory: Path, prose: Path) -> list[str]:
    return ["bench", "quality", "--model", str(tiny_llama_directory), "--text", str(prose), "--context", "64"]


SHORT = ["--windows", "2", "--methods", "dense,mlx:kv4,preset:lloyd_k4v4"]


@pytest.fixture(scope="module")
def report(tiny_llama_directory: Path, prose: Path, tmp_path_factory) -> QualityReport:
    path = tmp_path_factory.mktemp("report") / "report.json"
    command = ["bench", "quality", "--model", str(tiny_llama_directory), "--text", str(prose), "--context", "64"]
    assert main([*command, *SHORT, "--out", str(path), "--positions"]) == 0
    return msgspec.json.decode(path.read_bytes(), type=QualityReport)


def test_envelope_round_trip(report: QualityReport) -> None:
    assert msgspec.json.decode(to_json(report), type=QualityReport) == report
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(to_json(report).replace(b'"lane"', b'"line"'), type=QualityReport)


def test_envelope_says_what_was_measured(report: QualityReport, tiny_llama_directory: Path, prose: Path) -> None:
    assert (report.lane, report.schema_version) == ("quality", 1)
    assert report.created.endswith("+00:00")
    assert report.settings.methods == ("dense", "mlx:kv4", "preset:lloyd_k4v4")
    assert (report.settings.scope.context, report.settings.scope.windows) == (64, 2)
    weights = (tiny_llama_directory / "model.safetensors").read_bytes()
    assert report.model.weights_sha256 == hashlib.sha256(weights).hexdigest()
    assert (report.model.family, report.model.dtype, report.model.head_dims) == ("llama", "float32", (64,))
    assert report.text.sha256 == hashlib.sha256(prose.read_bytes()).hexdigest()
    assert (report.text.name, report.text.tokens, report.text.bos) == ("prose.txt", 128, False)
    provenance = report.provenance
    assert set(provenance.packages) == {"tq-core", "tq-contract", "tq-mlx", "tq-cert", "mlx", "mlx-lm"}
    assert provenance.device
    assert provenance.openblas
    assert all(len(digest) == 64 for digest in (provenance.contract_sha256, provenance.sources_sha256))
    assert str(tiny_llama_directory.parent) not in to_json(report).decode()  # no directories in a report


def test_json_alone_on_standard_output(arguments, capsys) -> None:
    assert main([*arguments, *SHORT, "--json"]) == 0
    output = capsys.readouterr()
    assert msgspec.json.decode(output.out, type=QualityReport).rows[0].method == "dense"
    assert output.err == ""


def test_table_and_progress(arguments, capsys, tmp_path: Path) -> None:
    assert main([*arguments, *SHORT, "--markdown", str(tmp_path / "table.md")]) == 0
    output = capsys.readouterr()
    assert "(512 tokens)" in output.err  # four runs of two windows; plain lines: this is not a terminal
    assert "window 2 of 2: mean KL dense 0, mlx:kv4 " in output.err
    for text in (output.out, (tmp_path / "table.md").read_text()):
        for expected in (f"{TIMES} mlx:kv4", "p99.9", "preset:lloyd_k4v4", "0-64", "tq-mlx 0.", "prose.txt, SHA-256"):
            assert expected in text
    lines = (tmp_path / "table.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith("| mlx:kv4 | 4.50 | 5.00 |")]
    assert row.count("|") == lines[2].count("|") == lines[3].count("|")
    assert " 1.000 " in row


def test_a_narrow_terminal_cuts_no_numbers_off(report: QualityReport, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    show(grids(report)[:1])
    output = capsys.readouterr().out
    assert "…" not in output.splitlines()[4]
    assert all(len([line for line in output.splitlines() if f"│ {row.method}" in line]) == 1 for row in report.rows)


def test_markdown_escapes_what_would_end_a_cell() -> None:
    grid = Grid("t", ("a|b", "c"), (("x|y", "1"),), ())
    assert "| x\\|y | 1 |" in markdown([grid])


def test_killed_and_resumed(arguments, tmp_path: Path) -> None:
    """SIGKILL in the middle, then the same command: the report of a run that was never stopped, times aside."""
    command = [*arguments, "--windows", "30", "--methods", "mlx:kv4,preset:lloyd_k4v4"]
    report, partial = tmp_path / "report.json", tmp_path / "report.json.partial"
    launch = [sys.executable, "-c", "import sys; from tq_cert.cli import main; sys.exit(main(sys.argv[1:]))"]
    killed = subprocess.Popen(
        [*launch, *command, "--out", str(report)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (partial.exists() and partial.read_bytes().count(b"\n") >= 4):
        assert killed.poll() is None, "it finished before it could be killed"
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = partial.read_bytes().count(b"\n")
    assert not report.exists()
    assert 4 <= before < 60
    resumed = subprocess.run([*launch, *command, "--out", str(report)], capture_output=True, text=True, check=True)
    assert f"{before} measurements are there already" in resumed.stderr
    assert not partial.exists()
    fresh = tmp_path / "fresh.json"
    assert main([*command, "--out", str(fresh)]) == 0
    assert timeless(report) == timeless(fresh)


def timeless(path: Path) -> object:
    left_out = ("seconds", "created", "provenance")

    def strip(value: object) -> object:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if key not in left_out}
        return [strip(item) for item in value] if isinstance(value, list) else value

    return strip(json.loads(path.read_bytes()))


@pytest.mark.parametrize(
    ("change", "code", "kind"),
    [
        (["--methods", "kv4"], 2, "UnknownMethodError"),
        (["--context", "1"], 2, "OptionError"),
        (["--windows", "100000"], 2, "TextTooShortError"),
        (["--text", "no/such/file"], 2, "FileAccessError"),
        (["--model", "no-such-model"], 2, "UnknownModelError"),
        (["--methods", "mlx:kv4g128"], 3, "UnservedMethodError"),
        (["--methods", "preset:lloyd_k4v4", "--mode", "service"], 1, "CodesNotReadError"),
    ],
)
def test_errors_have_a_type_and_a_remedy(change, code, kind, arguments, capsys) -> None:
    assert main([*arguments, "--windows", "1", "--methods", "dense", *change, "--json"]) == code
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == kind
    assert error["remedy"]


def test_a_file_that_is_no_configuration(arguments, tmp_path: Path, capsys) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"keys": {"codec": "mse", "bits": 4}, "values": {"codec": "no such codec"}}')
    assert main([*arguments, "--windows", "1", "--methods", f"config:{file}"]) == 2
    error = capsys.readouterr().err
    assert "config:config.json" in error
    assert "no such codec" in error


def test_a_family_outside_the_contract_is_refused(
    arguments, tiny_llama_directory: Path, tmp_path: Path, capsys
) -> None:
    for file in tiny_llama_directory.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "mistral"}))
    arguments = [*arguments, "--model", str(tmp_path), "--windows", "1", "--methods", "preset:lloyd_k4v4"]
    assert main(arguments) == 3
    error = capsys.readouterr().err
    assert "preset:lloyd_k4v4" in error
    assert "--layers all" in error
    assert main([*arguments, "--layers", "all"]) == 0


def test_a_research_only_family_needs_the_opt_in(arguments, tiny_qwen_directory: Path, capsys) -> None:
    methods = "preset:lloyd_k4v4,preset:equal_noise_k4v4"
    arguments = [*arguments, "--model", str(tiny_qwen_directory), "--windows", "1", "--methods", methods]
    assert main(arguments) == 3
    assert "--research" in capsys.readouterr().err
    assert main([*arguments, "--research"]) == 0
    assert "research-only families admitted" in capsys.readouterr().out
    assert main([*arguments, "--research", "--json"]) == 0
    report = msgspec.json.decode(capsys.readouterr().out, type=QualityReport)
    assert report.settings.scope.research
    assert all(row.compressed_layers == 2 and row.kl.mean > 0 for row in report.rows)


def test_text_that_is_not_utf8(arguments, tmp_path: Path, capsys) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9")
    assert main([*arguments, "--text", str(file)]) == 2
    assert "latin.txt" in capsys.readouterr().err


def test_without_mlx_it_says_what_to_install(arguments) -> None:
    blocked = "import sys; sys.modules['mlx'] = sys.modules['mlx_lm'] = sys.modules['numpy'] = None\n"
    code = f"{blocked}from tq_cert.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'tq-cert[run]'" in done.stderr
    done = subprocess.run([sys.executable, "-c", code, "bench", "quality", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
