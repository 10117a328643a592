"""The README's Python and its command lines, run as written on small real models."""

import io
import re
import shlex
from pathlib import Path

import mlx_lm
import pytest
from mlx_lm.models.cache import KVCache

import tq_mlx
from small_caches import smallest_caches
from tq_mlx.cli import main

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
UPGRADE, POLARQUANT, GENERATE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = {
    words[1]: words[1:]
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for words in (shlex.split(line, comments=True) for line in block.splitlines())
    if words[:1] == ["tq-mlx"]
}
HUB_MODEL = "mlx-community/Llama-3.2-1B-Instruct-4bit"
PREFILL = "# ... run your prefill here ..."
RUN_PREFILL = """
import mlx.core as mx
model(mx.array([tokenizer.encode("one two three four five " * 60)]), cache=cache)
before = list(cache)
"""


@pytest.fixture
def load_instead(real_model, monkeypatch):
    """Make mlx_lm.load give the family's sample model for the README's hub model."""
    real_load = mlx_lm.load

    def use(family):
        monkeypatch.setattr(mlx_lm, "load", lambda name: {HUB_MODEL: real_load(real_model(family))}[name])

    return use


@pytest.mark.model
@pytest.mark.parametrize("preset", ["lloyd_k4v4", "paper_prod"])
def test_the_quick_start_compresses_a_prefilled_cache_and_generates(load_instead, preset):
    load_instead("llama")
    assert UPGRADE.count(PREFILL) == UPGRADE.count("lloyd_k4v4") == 1
    scope = {}
    exec(UPGRADE.replace(PREFILL, RUN_PREFILL).replace("lloyd_k4v4", preset), scope)
    assert all(type(layer) is KVCache for layer in scope["before"])
    assert all(type(layer) is tq_mlx.TurboQuantKVCache for layer in scope["cache"])
    assert len(scope["events"]) == len(scope["cache"])
    assert all(event.compressed and event.ratio < 1 for event in scope["events"])

    exec(GENERATE.replace('prompt="', 'max_tokens=8, prompt="'), scope)
    assert scope["text"].strip()


@pytest.mark.model
def test_the_same_path_works_for_polarquant_and_gemma(load_instead):
    load_instead("gemma")
    scope = {}
    exec(UPGRADE.split("cfg =")[0].replace(PREFILL, RUN_PREFILL), scope)
    exec(POLARQUANT, scope)
    compressed = [event.compressed for event in scope["events"]]
    assert compressed == [index % 6 == 5 for index in range(18)]
    assert all(event.ratio < 1 for event in scope["events"] if event.compressed)
    assert tq_mlx.status(scope["cache"]).layers[5].realised == "polarquant_exp"


def words(name, model):
    """Return the words of the README's line of a subcommand, its DIR a model's directory, its FILE that text."""
    (text,) = re.findall(r"`FILE` a text such as `(\S+)`", TEXT)
    return [{"DIR": model, "FILE": str(README.parent / text)}.get(word, word) for word in COMMANDS[name]]


def test_each_subcommand_has_a_line():
    assert set(COMMANDS) == {"generate", "chat", "serve", "plan", "inspect"}


@pytest.mark.model
def test_the_line_for_generate_shows_the_dense_run_beside_it(real_model, capsys):
    assert main([*words("generate", real_model("llama")), "--max-tokens", "4"]) == 0
    out, err = capsys.readouterr()
    assert out.strip()
    assert all(label in err for label in ("dense", "lloyd_k4v4", "30 of 30 layers compressed"))


@pytest.mark.model
def test_the_line_for_chat_answers(real_model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("Name a colour.\n/status\n"))
    assert main([*words("chat", real_model("llama")), "--max-tokens", "4"]) == 0
    out, err = capsys.readouterr()
    assert out.strip()
    assert "compressed with lloyd_k4v4" in err


@pytest.mark.model
def test_the_line_for_serve_reaches_the_server(real_model, monkeypatch):
    """What the server then does is in test_serve.py."""
    started = []
    monkeypatch.setattr("tq_mlx.cli.serve.run_server", lambda *arguments: started.append(arguments))
    monkeypatch.setattr("tq_mlx.cli.serve.check_address", lambda host, port: None)  # 8080 may be taken here
    assert main(words("serve", real_model("llama"))) == 0
    [(arguments, compression)] = started
    assert arguments[:2] == ["--model", real_model("llama")]
    assert compression.config.preset == "lloyd_k4v4"


@pytest.mark.model
def test_the_line_for_plan_says_what_fits(real_model, capsys):
    assert main(words("plan", real_model("llama"))) == 0
    out = capsys.readouterr().out
    assert "lloyd_k4v4" in out
    assert "8 GB" in out


def test_the_line_for_inspect_finds_a_saved_cache_good(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tq_mlx.save_cache("cache.safetensors", smallest_caches())
    assert main(COMMANDS["inspect"]) == 0
    assert "every check passed" in capsys.readouterr().out
