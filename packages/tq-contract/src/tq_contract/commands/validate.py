"""`tq-contract validate`: whether a contract file is right, and every place where it is not."""

import argparse
import json
import sys
from pathlib import Path

import msgspec

from tq_contract.exit_code import ExitCode
from tq_contract.load import PACKAGED, load_bytes, packaged_bytes
from tq_contract.problems import ContractError, Problem

HELP = "check a contract file, reporting all problems"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes from the command line."""
    parser.add_argument("file", nargs="?", help="the file (default: the packaged contract)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Check the file and report."""
    source: str = arguments.file or PACKAGED
    try:
        data = Path(source).read_bytes() if arguments.file else packaged_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return _report_unreadable(source, str(error), as_json=arguments.json)
    try:
        load_bytes(data, source)
    except ContractError as error:
        return _report(source, error, as_json=arguments.json)
    return _report(source, None, as_json=arguments.json)


def _report(source: str, error: ContractError | None, *, as_json: bool) -> ExitCode:
    if as_json:
        _print_json(source, error.problems if error else (), None)
    else:
        print(error or f"{source}: valid")
    return ExitCode.FINDINGS if error else ExitCode.GOOD


def _report_unreadable(source: str, reason: str, *, as_json: bool) -> ExitCode:
    if as_json:
        _print_json(source, (), reason)
    print(f"tq-contract validate: {reason}", file=sys.stderr)
    return ExitCode.USAGE_OR_IO


def _print_json(source: str, problems: tuple[Problem, ...], error: str | None) -> None:
    result = {
        "source": source,
        "valid": not problems and error is None,
        "problems": [msgspec.structs.asdict(problem) for problem in problems],
        "error": error,
    }
    print(json.dumps(result, indent=2))
