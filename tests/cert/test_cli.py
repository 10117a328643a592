"""The command line: output, JSON shape, exit codes, and imports that need no extras."""

import inspect
import json
import subprocess
import sys
from importlib.metadata import version

import pytest

from tq_cert.cli import main
from tq_cert.commands import run
from tq_cert.commands.bench import LANES
from tq_cert.sample_models import recipes

WITHOUT_EXTRAS = """
import sys
for name in ("mlx", "mlx_lm", "gguf", "numpy", "pip", "transformers"):
    sys.modules[name] = None
import tq_cert, tq_cert.sample_models
from tq_cert.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def tiny_llama(tiny, monkeypatch: pytest.MonkeyPatch):
    """A tiny model in the place of the real `llama`."""
    model = tiny("llama", name="llama")
    monkeypatch.setattr(recipes, "RECIPES", (model.recipe,))
    return model


def test_prints_the_directory_alone(tiny_llama, capsys) -> None:
    assert main(["sample-model", "llama", "--dtype", "float32"]) == 0
    output = capsys.readouterr()
    assert output.out.count("\n") == 1
    assert "llama-float32-" in output.out
    assert "download Tiny llama" in output.err  # plain lines: this is not a terminal


def test_json(tiny_llama, capsys) -> None:
    assert main(["sample-model", "llama", "--dtype", "bfloat16", "--json"]) == 0
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert output.err == ""
    assert set(document) == {
        "name",
        "directory",
        "dtype",
        "reused",
        "size",
        "weights_sha256",
        "gguf_sha256",
        "source_packages",
        "seconds",
    }
    assert document["dtype"] == "bfloat16"
    assert document["reused"] is False
    assert document["source_packages"][0].keys() == {"name", "version", "wheel_sha256"}


def test_findings_exit_1(tiny_llama, capsys) -> None:
    main(["sample-model", "llama", "--dtype", "float32"])
    directory = capsys.readouterr().out.strip()
    with open(f"{directory}/config.json", "r+b") as file:
        file.write(b" ")
    assert main(["sample-model", "llama", "--dtype", "float32", "--verify"]) == 1
    assert "config.json has SHA-256" in capsys.readouterr().err
    assert main(["sample-model", "llama", "--dtype", "float32", "--rebuild"]) == 0
    assert main(["sample-model", "llama", "--dtype", "float32", "--verify"]) == 0


def test_failed_download_exits_2_with_json(tiny_llama, capsys) -> None:
    for wheel in tiny_llama.wheels.iterdir():
        wheel.unlink()
    assert main(["sample-model", "llama", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "DownloadError"
    assert error["remedy"]


def test_wrong_digest_exits_3(tiny, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    model = tiny("llama", name="llama", gguf_sha256="0" * 64)
    monkeypatch.setattr(recipes, "RECIPES", (model.recipe,))
    assert main(["sample-model", "llama"]) == 3
    assert "remedy:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["sample-model"], ["sample-model", "lama"], ["nope"]])
def test_usage_exits_2(arguments: list[str], capsys) -> None:
    assert main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


def test_help_needs_no_extras() -> None:
    for arguments in (["--help"], ["sample-model", "--help"]):
        done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "sample" in done.stdout


@pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.__name__.rpartition(".bench_")[2])
def test_a_lane_says_that_it_goes_on_where_it_stopped_if_it_keeps_a_journal(lane, capsys) -> None:
    name = lane.__name__.rpartition(".bench_")[2].replace("_", "-")
    assert main(["bench", name, "--help"]) == 0
    promised = "goes on where it stopped" in " ".join(capsys.readouterr().out.split())
    assert promised == ("journal.discard()" in inspect.getsource(lane))


def test_a_folder_of_wheels_that_is_not_there_is_named_before_anything_is_fetched(
    monkeypatch, capsys, tmp_path
) -> None:
    monkeypatch.setattr(run, "sources", lambda *_: pytest.fail("it went on to the models"))
    assert main(["run", "--wheels", str(tmp_path / "nowhere"), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "nowhere" in error["message"]
    assert "no such folder" in error["message"]


def test_help_says_what_exit_codes_mean_and_the_version_is_printed(capsys) -> None:
    assert main(["--help"]) == 0
    assert "Exit codes: 0 good, 1 findings, 2 wrong usage" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version("tq-cert")
