"""The command `tq-contract`: the contract on the command line, on any machine."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from tq_contract.commands import check, docs, preflight, show, validate
from tq_contract.exit_code import ExitCode
from tq_contract.problems import ContractError

COMMANDS = {"show": show, "validate": validate, "docs": docs, "check": check, "preflight": preflight}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status (`exit_code.py`)."""
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed its help or what is wrong
        return stop.code if isinstance(stop.code, int) else ExitCode.USAGE_OR_IO
    try:
        status: ExitCode = arguments.run(arguments)
        sys.stdout.flush()
    except ContractError as error:  # of this installation; a command that reads others reports theirs itself
        print(error, file=sys.stderr)
        return ExitCode.FINDINGS
    except OSError as error:
        return _output_failed(error)
    return status


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command adds its own arguments."""
    parser = argparse.ArgumentParser(
        prog="tq-contract",
        description="Show and check what TurboQuant for MLX promises.",
        epilog="Exit codes: 0 good, 1 findings, 2 wrong usage or unreadable file, 3 refused.",
    )
    parser.add_argument("--version", action="version", version=version("tq-contract"))
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.HELP, description=command.__doc__)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _output_failed(error: OSError) -> ExitCode:
    """Say why the output could not be written, unless its reader (as `head` does) just left."""
    if not isinstance(error, BrokenPipeError):
        print(f"tq-contract: {error}", file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to flush
    return ExitCode.USAGE_OR_IO


if __name__ == "__main__":
    sys.exit(main())
