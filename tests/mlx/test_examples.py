"""The scripts of examples/, run as a user runs them (the server's client: in test_serve.py)."""

import re
import runpy
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import mlx_lm
import pytest

from tq_cert.lanes.quality.methods import TurboQuant, parse_method
from tq_mlx import TurboQuantConfig

EXAMPLES = Path(__file__).parents[2] / "examples"
STORY = "prompts/lighthouse.txt"
LETTERS = 1500
"""Of the story, so that this takes seconds: some 350 tokens, more than a sink, a tail and a block."""


@pytest.fixture(scope="module")
def load_once():
    return cache(mlx_lm.load)


@pytest.fixture
def run(real_model, load_once, monkeypatch, tmp_path, capsys):
    """A function that runs a script on the Llama sample model and a shorter story, and returns what it prints."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / STORY).write_text((EXAMPLES / STORY).read_text(encoding="utf-8")[:LETTERS], encoding="utf-8")

    def script(name, *arguments):
        shutil.copy(EXAMPLES / name, tmp_path)
        monkeypatch.setattr(mlx_lm, "load", load_once)
        monkeypatch.setattr(sys, "argv", [name, real_model("llama"), *map(str, arguments)])
        runpy.run_path(str(tmp_path / name), run_name="__main__")
        return capsys.readouterr().out

    return script


@pytest.mark.model
def test_generate(run):
    text, report = run("generate.py").split("\n\nThe cache takes ")
    stored, dense = map(float, re.findall(r"([\d.]+) MB", report))
    assert text.strip()
    assert 0 < stored < dense
    assert "equal_noise_k4v4, tokens: 4 sink" in report
    assert int(re.search(r"read (\d+) times", report)[1]) > 20


@pytest.mark.model
def test_prompt_file(run, tmp_path):
    file = tmp_path / "story.safetensors"
    first = run("prompt_file.py", file)
    written = file.stat().st_mtime_ns
    assert run("prompt_file.py", file) == first
    assert file.stat().st_mtime_ns == written
    assert first.count("Answer:") == 2


@pytest.mark.model
def test_own_config(run, tmp_path):
    file = tmp_path / "own.json"
    report = run("own_config.py", file)
    own, preset = (float(kl) for kl in re.findall(r"KL ([\d.]+)", report))
    assert 0 < preset < own < 0.02  # the preset has the bits where they count
    written = TurboQuantConfig.from_json(file.read_text())
    assert f"{written.label}: " in report
    method = parse_method(f"config:{file}")
    assert isinstance(method, TurboQuant)
    assert TurboQuantConfig.from_dict(method.parameters) == written


def test_custom_codec():
    done = subprocess.run([sys.executable, EXAMPLES / "custom_codec.py"], capture_output=True, text=True, check=True)
    own, ours = (float(error) for error in re.findall(r"error ([\d.]+)", done.stdout))
    assert 2 * ours < own < 0.03  # the centroids of equal likelihood have more than twice Lloyd–Max's error
    assert "'packed': 832" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("name", ["generate.py", "prompt_file.py", "own_config.py", "server_client.py"])
def test_without_its_arguments_a_script_says_how_it_is_called(name, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(SystemExit, match=rf"python examples/{name} "):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_every_script_is_listed_and_run():
    listed = set(re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    proofs = Path(__file__).read_text() + Path(__file__).with_name("test_serve.py").read_text()
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert listed == scripts
    assert all(f'"{name}"' in proofs for name in scripts)
