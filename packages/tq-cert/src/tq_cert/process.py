"""Modules of ours that run in a process of their own: a question goes in, an answer or a last word comes out."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True)
class Ended:
    """How such a process ended.

    Attributes:
        status: its exit code, or minus the number of the signal that killed it.
        answer: what it wrote to standard output.
        message: the last line that it wrote to standard error.
    """

    status: int
    answer: bytes
    message: str


def ask(program: Sequence[str], question: object) -> Ended:
    """Run the program, with the question as JSON on its standard input, until it ends."""
    done = subprocess.run(  # noqa: S603 (our own module)
        program, input=msgspec.json.encode(question), capture_output=True, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode(errors="replace").strip().split("\n")[-1])


def in_words(status: int) -> str:
    """How a process of that status ended."""
    return f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"
