"""`tq-contract check`: whether a checkout's source, documents, workflows and distributions agree with its contract."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tq_contract.exit_code import ExitCode
from tq_contract.problems import ContractError

if TYPE_CHECKING:
    from tq_contract.checks.run import Result

HELP = "hold a checkout of the source against its contract"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes from the command line."""
    parser.add_argument("root", nargs="?", default=".", help="root of the checkout (default: this folder)")
    parser.add_argument("--only", action="append", metavar="NAME", help="this check alone; may be given more than once")
    parser.add_argument("--dist", metavar="DIR", help="folder with built distributions to check too")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Run the checks and report every finding."""
    # Imported only now: what reads YAML and archives takes longer to import than other commands take to run.
    from tq_contract.checks.checkout import Checkout, CheckoutError
    from tq_contract.checks.run import CHECKS
    from tq_contract.checks.run import run as run_checks
    from tq_contract.source_tree import CONTRACT

    root = Path(arguments.root)
    dist = Path(arguments.dist) if arguments.dist else None
    names: list[str] = arguments.only or list(CHECKS)
    try:
        if unknown := [name for name in names if name not in CHECKS]:
            raise CheckoutError(f"no check is called {unknown[0]}. There are {', '.join(CHECKS)}.")
        if not (root / CONTRACT).is_file():
            raise CheckoutError(f"{root} is no checkout: it has no {CONTRACT}. Name the root of one.")
        if dist is not None and not dist.is_dir():
            raise CheckoutError(f"{dist} is no folder. Build into it first: make distributions.")
        if dist is None and "distributions" in (arguments.only or ()):
            raise CheckoutError("no distributions to check. Name their folder with --dist.")
        results = run_checks(Checkout(root.resolve(), dist), names)
    except (CheckoutError, OSError, ValueError) as error:
        return _report_failure(error, as_json=arguments.json)
    if arguments.json:
        _print_json(results, error=None)
    else:
        _print_readable(results, has_dist=dist is not None)
    return ExitCode.FINDINGS if any(result.findings for result in results) else ExitCode.GOOD


def _report_failure(error: Exception, *, as_json: bool) -> ExitCode:
    if as_json:
        _print_json([], error=str(error))
    print(f"tq-contract check: {error}", file=sys.stderr)
    return ExitCode.FINDINGS if isinstance(error, ContractError) else ExitCode.USAGE_OR_IO


def _print_json(results: list[Result], *, error: str | None) -> None:
    good = error is None and not any(result.findings for result in results)
    document = {"good": good, "checks": results, "error": error}
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def _print_readable(results: list[Result], *, has_dist: bool) -> None:
    for result in results:
        count, waived = len(result.findings), len(result.waived)
        note = f" ({waived} waived)" if waived else ""
        if result.check == "distributions" and not has_dist:
            note = " (none named with --dist)"
        print(f"{result.check}: {count or 'no'} finding{'' if count == 1 else 's'}{note}")
        for finding in result.findings:
            print(f"  {finding}")
