"""scripts/demo.py: what it runs, and that it ends as its commands do."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def interruptible():
    """Undo what a shell does for jobs in the background, which do not see Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def demo(tmp_path):
    """A function that runs the demo with commands that are shell scripts."""

    def run(tq_cert, tq_mlx):
        for name, script in (("tq-cert", tq_cert), ("tq-mlx", tq_mlx)):
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        return subprocess.run(
            [sys.executable, ROOT / "scripts/demo.py"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=interruptible,
        )

    return run


def test_each_family_is_generated_from_dense_and_compressed(demo):
    done = demo('echo "model of $2"', 'cat > /dev/null; echo "$@"')
    assert done.returncode == 0, done.stderr
    for family in ("llama", "gemma"):
        assert (
            f"generate --model model of {family} --preset lloyd_k4v4 --prompt - --max-tokens 64 --compare"
            in done.stdout
        )


@pytest.mark.parametrize(
    ("tq_cert", "tq_mlx", "code"),
    [("echo no network >&2; exit 2", "exit 0", 2), ("echo model", "cat > /dev/null; echo refused >&2; exit 3", 3)],
)
def test_it_ends_as_the_command_that_failed_without_words_of_its_own(demo, tq_cert, tq_mlx, code):
    done = demo(tq_cert, tq_mlx)
    assert done.returncode == code
    assert done.stderr.strip() in ("no network", "refused")


def test_ctrl_c_ends_it_quietly(demo):
    done = demo("kill -INT $PPID; sleep 2", "exit 0")
    assert (done.returncode, done.stderr) == (130, "")
