"""tq-mlx serve on a real model, as a real HTTP client meets it: what is served at once equals what is served alone."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from mlx_lm import server
from mlx_lm.utils import load_tokenizer

from lively_llama import lively_llama
from tq_mlx.cli import main

QUESTIONS = ["Name a colour.", "Tell me a story about a fox. " * 40, "What is 2 + 2?", "Write about the sea. " * 15]


SERVE = """
import signal
from tq_mlx.cli import command
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background hands down that it is ignored
command()
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def served(real_model, tmp_path_factory):
    """Yield a client of a server in a process of its own; interrupting it ends it well."""
    port = free_port()
    link = tmp_path_factory.mktemp("models") / "llama"
    link.symlink_to(real_model("llama"))
    command = [sys.executable, "-c", SERVE, "serve"]
    options = ["--model", link, "--preset", "equal_noise_k4v4", "--port", str(port), "--"]
    process = subprocess.Popen(
        [*command, *options, "--max-tokens", "12"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    os.set_blocking(process.stderr.fileno(), False)
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=300)
    wait_for(f"http://127.0.0.1:{port}/health", process)
    yield client
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    log = process.stderr.read()
    assert log.count("caches of 30 layers are compressed, keys mse") == 1  # no request made it load again
    assert "Traceback" not in log


def wait_for(address, process):
    for _ in range(1200):
        try:
            urllib.request.urlopen(address).close()
        except OSError:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server does not answer")


def ask(client, question, *, stream=False):
    answer = client.chat.completions.create(
        model="default_model", messages=[{"role": "user", "content": question}], temperature=0, stream=stream
    )
    if stream:
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    return answer.choices[0].message.content


def test_concurrent_requests_get_the_tokens_of_single_ones(served):
    alone = [ask(served, question) for question in QUESTIONS]
    assert len(set(alone)) == len(QUESTIONS)
    with ThreadPoolExecutor(len(QUESTIONS)) as clients:
        together = clients.map(
            lambda place: ask(served, QUESTIONS[place], stream=place % 2 == 0), range(len(QUESTIONS))
        )
        assert list(together) == alone


def test_what_was_said_before_is_not_prefilled_again(served):
    question = {"role": "user", "content": "List things that are found in a kitchen. " * 30}
    first = served.chat.completions.create(model="default_model", messages=[question], temperature=0)
    turns = [question, {"role": "assistant", "content": first.choices[0].message.content}]
    turns.append({"role": "user", "content": "And in a garden?"})
    second = served.chat.completions.create(model="default_model", messages=turns, temperature=0)
    assert second.usage.prompt_tokens_details.cached_tokens > 0.9 * first.usage.prompt_tokens


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"stop": 5}, 400, "stop is 5"),
        ({"top_k": 1_000_000}, 400, "top_k is 1000000: give at most 49151"),
        ({"logit_bias": {"-99999999": 1}}, 400, "logit_bias names the tokens [-99999999]"),
        ({"logit_bias": {"5": None}}, 400, "float()"),
        ({"model": "/no/such/model"}, 404, "there is no model '/no/such/model' here"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_request_is_answered_and_harms_nobody(served, body, status, message):
    with pytest.raises(openai.APIStatusError) as raised:
        served.chat.completions.create(
            model=body.get("model", "default_model"), messages=[{"role": "user", "content": "hi"}], extra_body=body
        )
    assert raised.value.status_code == status
    assert message in raised.value.response.json()["error"]
    assert ask(served, QUESTIONS[0])


def test_bytes_that_are_no_text_are_answered(served):
    request = urllib.request.Request(f"{served.base_url}chat/completions", b"\xff{}")
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request)
    assert raised.value.code == 400
    assert "can't decode byte 0xff" in raised.value.read().decode()


def test_the_model_that_the_server_names_is_the_one_that_it_serves(served, real_model):
    name = os.path.realpath(real_model("llama"))
    assert name in [model.id for model in served.models.list()]
    answer = served.chat.completions.create(model=name, messages=[{"role": "user", "content": QUESTIONS[0]}])
    assert answer.choices[0].message.content


def test_the_example_talks_to_the_server(served):
    script = Path(__file__).parents[2] / "examples" / "server_client.py"
    address = str(served.base_url).removesuffix("/v1/")
    done = subprocess.run([sys.executable, script, address], capture_output=True, text=True, check=True)
    questions = [line for line in done.stdout.splitlines() if not line.startswith("  ")]
    assert questions[0] == "Name a colour."
    assert done.stdout.count("\n  ") >= 3
    assert questions[-1].strip()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--preset", "nonesuch"], 2, "nonesuch"),
        (["--preset", "lloyd_k4v4", "--model", "./nowhere"], 2, "no directory"),
        (["--preset", "lloyd_k4v4", "--calibration", "./nowhere.txt"], 2, "nowhere.txt"),
        (["--preset", "lloyd_k4v4", "--", "--kv-bits", "4"], 2, "--kv-bits is 4 beside a preset"),
        (["--preset", "lloyd_k4v4", "--host", "256.0.0.1"], 2, "cannot listen on 256.0.0.1:8080"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_listens(real_model, capsys, options, code, message):
    assert main(["serve", "--model", real_model("llama"), *options]) == code
    assert message in capsys.readouterr().err


def test_a_research_only_family_is_refused_by_its_configuration_alone(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    assert main(["serve", "--model", str(tmp_path), "--preset", "lloyd_k4v4"]) == 3
    assert "research-only" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_at_once(real_model, capsys):
    """mlx-lm's server would load its model and then hang, neither serving nor ending."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        options = ["--model", real_model("llama"), "--preset", "lloyd_k4v4", "--port", str(port)]
        assert main(["serve", *options]) == 2
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use" in capsys.readouterr().err


def test_an_option_that_the_server_lacks_is_said_in_its_name(real_model, capsys):
    options = ["--preset", "lloyd_k4v4", "--port", str(free_port()), "--", "--nonesuch"]
    with pytest.raises(SystemExit) as raised:
        main(["serve", "--model", real_model("llama"), *options])
    assert raised.value.code == 2
    assert "mlx_lm.server: error: unrecognized arguments: --nonesuch" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_that_is_none_is_a_usage_error(port, capsys):
    with pytest.raises(SystemExit) as raised:
        main(["serve", "--model", "x", "--preset", "lloyd_k4v4", "--port", port])
    assert raised.value.code == 2
    assert f"argument --port: '{port}'" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_ends_the_server(tmp_path, capsys):
    """mlx-lm's server would go on and answer every request with an error."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    options = ["--model", str(tmp_path), "--preset", "lloyd_k4v4", "--port", str(free_port())]
    assert main(["serve", *options]) == 2
    assert f"cannot load the model {str(tmp_path)!r}" in capsys.readouterr().err


def test_a_model_that_cannot_be_compressed_ends_the_server(real_model, tmp_path, monkeypatch, capsys):
    loaded = (lively_llama(), load_tokenizer(real_model("llama")), {})
    monkeypatch.setattr(server, "load", lambda *_, **__: loaded)
    (tmp_path / "empty.txt").touch()
    options = ["--preset", "equal_noise_k4v4", "--calibration", str(tmp_path / "empty.txt")]
    assert main(["serve", "--model", "some/model", *options, "--port", str(free_port())]) == 2
    assert "the calibration has 0" in capsys.readouterr().err
