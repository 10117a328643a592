"""`tq-contract docs`: write a checkout's generated documents, or check them and every link."""

import argparse
import json
import sys
from pathlib import Path

import msgspec

from tq_contract.documents.drift import Drift, NotACheckoutError, check_root, drifts, write
from tq_contract.documents.links import BrokenLink, broken_links
from tq_contract.documents.parts import MarkerError
from tq_contract.exit_code import ExitCode
from tq_contract.load import load
from tq_contract.problems import ContractError

HELP = "write the generated documents, or check them and all links"

MEND = "Run `tq-contract docs --write` to put the documents right."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes from the command line."""
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the documents that differ")
    action.add_argument("--check", action="store_true", help="show what differs, and links that lead nowhere")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("directory", nargs="?", default=".", metavar="DIR", help="the checkout (default: this folder)")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Write or check, and report."""
    root = Path(arguments.directory)
    try:
        check_root(root)
        return _write(root, as_json=arguments.json) if arguments.write else _check(root, as_json=arguments.json)
    except ContractError as error:
        return _fail(str(error), ExitCode.FINDINGS, as_json=arguments.json)
    except (OSError, ValueError, NotACheckoutError) as error:  # ValueError: a NUL in the name
        status = ExitCode.FINDINGS if isinstance(error, MarkerError) else ExitCode.USAGE_OR_IO
        return _fail(str(error), status, as_json=arguments.json)


def _write(root: Path, *, as_json: bool) -> ExitCode:
    written = write(load(), root)
    if as_json:
        print(json.dumps({"written": written, "error": None}, indent=2))
    else:
        print("\n".join(f"wrote {path}" for path in written) or "Every document is current.")
    return ExitCode.GOOD


def _check(root: Path, *, as_json: bool) -> ExitCode:
    drifted, broken = drifts(load(), root), broken_links(root)
    if as_json:
        result = {"drifts": drifted, "broken_links": broken, "error": None}
        print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    else:
        _print_findings(drifted, broken)
    return ExitCode.FINDINGS if drifted or broken else ExitCode.GOOD


def _print_findings(drifted: list[Drift], broken: list[BrokenLink]) -> None:
    for drift in drifted:
        print(drift.diff if drift.mendable else f"{drift.path}: {drift.diff}")
    for link in broken:
        print(link)
    if any(drift.mendable for drift in drifted):
        print(MEND)
    if not drifted and not broken:
        print("Every document is current and every link leads somewhere.")


def _fail(reason: str, status: ExitCode, *, as_json: bool) -> ExitCode:
    if as_json:
        print(json.dumps({"error": reason}, indent=2))
    print(f"tq-contract docs: {reason}", file=sys.stderr)
    return status
