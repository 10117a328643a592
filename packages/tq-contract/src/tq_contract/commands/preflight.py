"""`tq-contract preflight`: whether this machine and what is installed on it fit the contract."""

import argparse
from collections.abc import Sequence

import msgspec

from tq_contract.exit_code import ExitCode
from tq_contract.load import load
from tq_contract.preflight import Item, judge, survey

HELP = "compare this machine with the contract"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes from the command line."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--strict", action="store_true", help="refuse (exit code 3) what could not be certified")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Look at the machine and report."""
    contract = load()
    items = judge(survey(contract), contract)
    status = exit_code(items, strict=arguments.strict)
    if arguments.json:
        document = {"good": status is ExitCode.GOOD, "certifiable": _certifiable(items), "items": items}
        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    else:
        _print_readable(items)
    return status


def exit_code(items: Sequence[Item], *, strict: bool) -> ExitCode:
    """Return what the items mean: a problem is a finding; when certification is wanted, a warning is a refusal too."""
    if strict and not _certifiable(items):
        return ExitCode.REFUSED
    return ExitCode.FINDINGS if any(item.verdict == "problem" for item in items) else ExitCode.GOOD


def _certifiable(items: Sequence[Item]) -> bool:
    return all(item.verdict in ("good", "advice") for item in items)


def _print_readable(items: Sequence[Item]) -> None:
    widths = [max(len(getattr(item, field)) for item in items) for field in ("verdict", "what", "found")]
    for item in items:
        cells = zip((item.verdict, item.what, item.found), widths, strict=True)
        print(f"{'  '.join(text.ljust(width) for text, width in cells)}  {item.remedy}".rstrip())
    good = "Nothing that shows without MLX rules out certification."
    print(f"\n{good if _certifiable(items) else 'Nothing that runs here could be certified.'}")
