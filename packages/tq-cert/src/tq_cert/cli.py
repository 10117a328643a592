"""The command `tq-cert`: picks the subcommand, prints its errors, returns its exit code.

Each subcommand is a module in `tq_cert.commands` with two functions: `add_parser(subcommands)` declares its
arguments and sets `run`; `run(arguments)` does the job and returns the exit code.
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from types import FrameType

from tq_cert.commands import bench, pack, report, run, sample_model, verify
from tq_cert.errors import EXIT_USAGE_OR_IO, TqCertError

COMMANDS = (sample_model, run, bench, pack, verify, report)
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: the arguments after the program's name; None takes those of the process.

    Returns:
        0 good, 1 findings, 2 usage or input/output, 3 refused, 130 interrupted.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE_OR_IO
    as_json = bool(getattr(arguments, "json", False))
    try:
        with _termination_unwinds():
            return int(arguments.run(arguments))
    except TqCertError as error:
        _print_error(error, as_json)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tq-cert",
        description="Certification, evidence and benchmarks of TurboQuant for MLX.",
        epilog="Exit codes: 0 good, 1 findings, 2 wrong usage, input or output, 3 refused.",
    )
    parser.add_argument("--version", action="version", version=version("tq-cert"))
    subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subcommands)
    return parser


def _print_error(error: TqCertError, as_json: bool) -> None:
    if as_json:
        document = {
            "error": {
                "type": type(error).__name__,
                "message": error.message,
                "remedy": error.remedy,
            }
        }
        print(json.dumps(document, indent=2))
    else:
        print(f"error: {error}", file=sys.stderr)


@contextmanager
def _termination_unwinds() -> Generator[None]:
    """Let SIGTERM unwind the stack, so that temporary files and child processes are cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, frame: FrameType | None) -> None:
        raise SystemExit(EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
