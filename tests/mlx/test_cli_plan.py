import json
import signal
import subprocess
import sys
from dataclasses import asdict

import pytest

import tq_contract
from tq_mlx.cli import main
from tq_mlx.cli.quantities import size
from tq_mlx.plan import LONGEST


@pytest.fixture
def config(tmp_path, tiny_llama):
    """A function that writes a config.json, the tiny Llama's with changes, and returns its directory."""

    def write(**changes):
        fields = {name: value for name, value in asdict(tiny_llama.args).items() if value is not None}
        (tmp_path / "config.json").write_text(json.dumps(fields | changes))
        return str(tmp_path)

    return write


def report_of(capsys, *arguments, code=0):
    assert main(["plan", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_every_preset_is_planned_ours_first(config, capsys):
    report = report_of(capsys, config(max_position_embeddings=20000))
    classes = {preset.name: preset.classification for preset in tq_contract.load().presets}
    order = [classes[entry["preset"]] for entry in report["presets"]]
    assert sorted(order, key=["supported", "paper-facing", "compatibility-only"].index) == order
    assert len(order) == len(classes)
    assert (report["model_family"], report["dtype"], report["max_context"]) == ("llama", "bfloat16", 20000)
    for entry in report["presets"]:
        assert entry["refusal"] is None
        assert [row["tokens"] for row in entry["contexts"]] == [4096, 16384, 20000]
        for row, dense in zip(entry["contexts"], report["dense"]["contexts"], strict=True):
            assert row["ratio"] == row["bytes"] / dense["bytes"] < 0.9
        assert entry["upper_bound"] == entry["preset"].startswith("equal_noise")
        assert all(layer["compress"] for layer in entry["layers"])


def test_a_memory_is_filled(config, capsys):
    directory = config(dtype="float32")
    asked = ["--preset", "lloyd_k4v4", "--memory", "0.01", "--context", "300", "10"]
    report = report_of(capsys, directory + "/config.json", *asked)
    assert report["memory_bytes"] == 10_000_000
    # 2 layers, 2 heads, keys and values of 64, 4 bytes: 2048 bytes a token, in steps of 256 tokens
    assert report["dense"]["contexts"] == [
        {"tokens": 10, "bytes": 2048 * 256, "ratio": 1.0},
        {"tokens": 300, "bytes": 2048 * 512, "ratio": 1.0},
    ]
    assert report["dense"]["longest_context"] == 10_000_000 // 2048 // 256 * 256
    (preset,) = report["presets"]
    assert report["dense"]["longest_context"] < preset["longest_context"] < LONGEST


def test_tables_for_people(config, capsys):
    assert main(["plan", config(), "--memory", "8"]) == 0
    text = capsys.readouterr().out
    assert "2 of 2 layers compressed (every preset)" in text
    assert "layers 0-1: KVCache, 2 heads of 64: compressed" in text
    assert "fit 8 GB" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_layers_that_stay_dense_say_why(tmp_path, tiny_gemma, capsys):
    (tmp_path / "config.json").write_text(json.dumps(asdict(tiny_gemma.args)))
    assert main(["plan", str(tmp_path), "--preset", "lloyd_k4v4"]) == 0
    text = capsys.readouterr().out
    assert "1 of 3 layers compressed (lloyd_k4v4)" in text
    assert "layers 0-1: RotatingKVCache, 1 head of 64, window 32: sliding-window layer" in text


def test_a_refused_model_is_planned_dense(config, capsys):
    report = report_of(capsys, config(model_type="qwen2"), "--preset", "lloyd_k4v4", code=3)
    assert "'qwen2'" in report["presets"][0]["refusal"]
    assert report["dense"]["contexts"][0]["bytes"] > 0


def test_a_head_dimension_is_refused_by_some_presets_only(config, capsys):
    report = report_of(capsys, config(head_dim=36), "--preset", "lloyd_k4v4", "polarquant_exp")
    refusals = {entry["preset"]: entry["refusal"] for entry in report["presets"]}
    assert refusals["polarquant_exp"] is None
    assert "36" in refusals["lloyd_k4v4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds no config.json"), ("{", "no JSON"), ("[]", "no JSON object"), ("{}", "names no model_type")],
)
def test_what_is_no_configuration_is_a_usage_error(tmp_path, content, message, capsys):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert main(["plan", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_a_name_that_is_nowhere_is_a_usage_error(capsys, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("plan must not use the network"))
    for name in ("no/such-model", "no/such/path", "!"):
        assert main(["plan", name]) == 2
        assert "no hub model cached here" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--memory", "0"], ["--memory", "many"], ["--context", "0"], ["--context", "x"]])
def test_wrong_numbers_are_usage_errors(wrong, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["plan", "x", *wrong])
    assert exit_.value.code == 2
    assert repr(wrong[1]) in capsys.readouterr().err


def test_output_that_nobody_reads_is_no_error(config):
    code = "import sys; from tq_mlx.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "plan", config(num_hidden_layers=200), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 128 + signal.SIGPIPE


@pytest.mark.model
def test_the_plan_is_what_generation_takes(real_model, capsys):
    prompt = "The keeper of the light wrote in the log every evening, and the log grew. " * 40
    asked = ["--model", real_model("llama"), "--preset", "uniform_k4v4", "--prompt", prompt, "--max-tokens", "3"]
    assert main(["generate", *asked, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    held = str(measured["prompt_tokens"] + measured["generated_tokens"])
    planned = report_of(capsys, real_model("llama"), "--preset", "uniform_k4v4", "--context", held)
    assert planned["presets"][0]["contexts"][0]["bytes"] == measured["cache"]["bytes"]


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345, "12.3 kB"), (999_600, "1 MB"), (7 * 10**13, "70 TB")],
)
def test_sizes_have_three_digits(nbytes, text):
    assert size(nbytes) == text
