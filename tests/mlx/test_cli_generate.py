import io
import json
from contextlib import nullcontext
from importlib.metadata import version

import pytest

from tq_mlx.cli import main


def text_of_length(tokens):
    return "The keeper of the light wrote in the log every evening, and the log grew. " * (tokens // 16)


@pytest.mark.model
@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_compare_reports_both_runs(real_model, family, capsys):
    arguments = ["--preset", "uniform_k4v4", "--prompt", text_of_length(700), "--max-tokens", "6"]
    code = main(["generate", "--model", real_model(family), *arguments, "--compare", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert report["text"].strip()
    assert (report["preset"], report["model_family"]) == ("uniform_k4v4", family)
    assert report["prompt_tokens"] >= 512
    assert report["generated_tokens"] == report["dense"]["generated_tokens"] == 6
    assert report["tokens_per_second"] > 0
    cache = report["cache"]
    assert cache["bytes"] == sum(layer["bytes"] for layer in report["layers"])
    assert cache["ratio"] == cache["bytes"] / cache["dense_bytes"] < 1
    assert cache["bits_per_value"] == {"llama": 4.25 + 4.25 / 128, "gemma": 4.0625 + 4.0625 / 128}[family]
    assert 0 < report["mean_kl"] < 0.05
    layers = report["layers"]
    assert [layer["index"] for layer in layers] == list(range(len(layers)))
    for layer in layers:
        compressed = family == "llama" or layer["index"] % 6 == 5
        assert layer["requested"] == "uniform_k4v4"
        assert layer["realised"] == ("uniform_k4v4" if compressed else "dense")
        assert (layer["codes_read"] > 0) is compressed
        assert layer["reason"]


@pytest.mark.model
def test_a_threshold_beyond_the_text_leaves_the_cache_dense(real_model, capsys):
    arguments = ["--preset", "lloyd_k4v4", "--prompt", "Hello", "--max-tokens", "3", "--start", "5000", "--json"]
    assert main(["generate", "--model", real_model("llama"), *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {layer["realised"] for layer in report["layers"]} == {"dense"}
    assert report["cache"]["bits_per_value"] is None


def test_an_unknown_preset_is_a_usage_error(capsys):
    assert main(["generate", "--model", ".", "--preset", "lloyd_k4v5", "--prompt", "x"]) == 2
    assert "lloyd_k4v4" in capsys.readouterr().err


def test_a_directory_without_a_model_is_a_usage_error(tmp_path, capsys):
    assert main(["generate", "--model", str(tmp_path), "--preset", "lloyd_k4v4", "--prompt", "x"]) == 2
    assert "holds no model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["generate"],
        ["generate", "--model", "x", "--preset", "lloyd_k4v4"],
        ["generate", "--model", "x", "--preset", "lloyd_k4v4", "--prompt", "x", "--max-tokens", "0"],
        ["generate", "--model", "x", "--preset", "lloyd_k4v4", "--prompt", "x", "--start", "-1"],
    ],
)
def test_wrong_arguments_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said_as_other_commands_say_it(capsys):
    assert main(["inspect", "nowhere.safetensors"]) == 2
    assert capsys.readouterr().err == "tq-mlx: nowhere.safetensors: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["inspect", "nowhere"], 2, "FileNotFoundError"),
        (["plan", "nowhere"], 2, "ConfigError"),
        (["generate", "--model", "x", "--preset", "nonesuch", "--prompt", "x"], 2, "UnknownPresetError"),
    ],
)
def test_with_json_an_error_is_json_too(arguments, code, error, capsys):
    assert main([*arguments, "--json"]) == code
    out, err = capsys.readouterr()
    said = json.loads(out)["error"]
    assert said["type"] == error
    assert err == f"tq-mlx: {said['message']}\n"


def test_an_unknown_option_is_named_beside_those_of_the_subcommand(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["generate", "--model", "x", "--prompt", "x", "--max-token", "3", "--tmperature", "1"])
    assert exit_.value.code == 2
    message = capsys.readouterr().err
    assert "usage: tq-mlx generate" in message
    assert "there is no option --tmperature" in message


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.strip() == version("tq-mlx")


def test_without_a_preset_they_are_listed(capsys):
    assert main(["generate", "--model", "x", "--prompt", "x"]) == 2
    message = capsys.readouterr().err
    assert "--preset" in message
    assert message.index("lloyd_k4v4") < message.index("legacy_topk")


def test_a_path_that_is_not_there_is_said_to_be_so(tmp_path, capsys):
    assert main(["generate", "--model", str(tmp_path / "no"), "--preset", "lloyd_k4v4", "--prompt", "x"]) == 2
    assert "no such directory" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "message"), [(b" \n", "empty"), (b"\xff\xfe", "no UTF-8"), (None, "No such file")])
def test_a_prompt_that_is_none_is_a_usage_error(tmp_path, content, message, capsys):
    path = tmp_path / "prompt.txt"
    if content is not None:
        path.write_bytes(content)
    assert main(["generate", "--model", "x", "--preset", "lloyd_k4v4", "--prompt-file", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_the_prompt_comes_from_standard_input(tiny_llama, tiny_tokenizer, monkeypatch, capsys):
    monkeypatch.setattr("tq_mlx.cli.generate.load_model", lambda name: (tiny_llama, tiny_tokenizer))
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello"))
    asked = ["--preset", "lloyd_k4v4", "--prompt", "-", "--max-tokens", "2", "--json"]
    assert main(["generate", "--model", "x", *asked]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["prompt_tokens"], report["generated_tokens"]) == (5, 2)


def test_each_phase_of_a_comparison_is_shown_to_its_end(tiny_llama, tiny_tokenizer, monkeypatch, capsys):
    shown = []

    def phases(title):
        return lambda done, total: shown.append((title, done, total))

    monkeypatch.setattr("tq_mlx.cli.generate.load_model", lambda name: (tiny_llama, tiny_tokenizer))
    monkeypatch.setattr("tq_mlx.cli.generate.progress_bar", lambda *, quiet: nullcontext(phases))
    asked = ["--preset", "lloyd_k4v4", "--prompt", "Hello", "--max-tokens", "3", "--compare"]
    assert main(["generate", "--model", "x", *asked]) == 0
    ends = {title: (done, total) for title, done, total in shown}
    assert ends == {
        "dense: prompt": (5, 5),
        "dense: answer": (3, 3),
        "lloyd_k4v4: prompt": (5, 5),
        "lloyd_k4v4: answer": (3, 3),
        "divergence": (3, 3),
    }
    assert "no token is coded yet" in capsys.readouterr().err


def test_a_family_outside_the_contract_is_refused(tiny_llama, tiny_tokenizer, monkeypatch, capsys):
    monkeypatch.setattr(tiny_llama, "model_type", "mamba")
    monkeypatch.setattr("tq_mlx.cli.generate.load_model", lambda name: (tiny_llama, tiny_tokenizer))
    assert main(["generate", "--model", "x", "--preset", "lloyd_k4v4", "--prompt", "x"]) == 3
    assert "'mamba'" in capsys.readouterr().err
