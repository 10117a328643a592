import io

import pytest

from tq_mlx.cli import main


@pytest.fixture
def talk(tiny_llama, tiny_tokenizer, monkeypatch, capsys):
    """A function that pipes lines into tq-mlx chat with a tiny model; it returns the exit code and both outputs."""

    def run(text, *arguments):
        monkeypatch.setattr("tq_mlx.cli.chat.load_model", lambda name: (tiny_llama, tiny_tokenizer))
        monkeypatch.setattr("tq_mlx.cli.chat.read_config", lambda name: {"max_position_embeddings": 500})
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        code = main(["chat", "--model", "x", "--preset", "lloyd_k4v4", "--max-tokens", "6", *arguments])
        return code, *capsys.readouterr()

    return run


def test_piped_questions_get_plain_answers(talk):
    code, out, err = talk("Hello there\n\nAnd now?\n")
    assert code == 0
    assert len(out.splitlines()) >= 2
    assert err.count("tokens/s") == 2
    assert "nothing saved at this length" in err
    assert "\x1b" not in out + err
    assert "> " not in out


def test_a_long_question_saves_bytes(talk):
    _, _, err = talk("Tell me of the light. " * 20)
    assert " saved" in err
    assert "nothing" not in err


def test_commands(talk):
    code, _, err = talk("/help\n/status\nHello\n/status\n/reset\n/status\n/sing\n/quit\nnot asked\n")
    assert code == 0
    assert err.count("tokens/s") == 1
    assert err.count("/reset   forget") == 2
    assert err.count("\n0 tokens held") == 2
    assert "2 of 2 layers compressed with lloyd_k4v4" in err
    assert "no command /sing" in err
    assert "forgotten" in err


def test_a_full_context_is_said_and_does_not_end_the_conversation(talk):
    code, _, err = talk(f"{'Tell me more. ' * 40}\nHello\n")
    assert code == 0
    assert "500 are the most" in err
    assert err.count("tokens/s") == 1


@pytest.mark.parametrize("wrong", [["--temperature", "-1"], ["--context", "0"]])
def test_wrong_arguments_exit_with_2(talk, wrong):
    with pytest.raises(SystemExit) as exit_:
        talk("", *wrong)
    assert exit_.value.code == 2


def test_an_unknown_family_is_refused_before_the_first_question(talk, tiny_llama, monkeypatch):
    monkeypatch.setattr(tiny_llama, "model_type", "mamba")
    code, out, err = talk("Hello\n")
    assert (code, out) == (3, "")
    assert "'mamba'" in err


@pytest.mark.model
def test_a_real_conversation_reuses_its_cache(real_model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("What is the capital of France?\nAnd of Italy?\n/status\n"))
    asked = ["--model", real_model("llama"), "--preset", "uniform_k4v4", "--max-tokens", "12"]
    assert main(["chat", *asked]) == 0
    out, err = capsys.readouterr()
    assert "Paris" in out
    assert "Rome" in out
    assert "30 of 30 layers compressed" in err
    first, second = (
        int(line.split(" tokens prefilled")[0].split()[-1]) for line in err.splitlines() if "tokens/s" in line
    )
    assert second < first
