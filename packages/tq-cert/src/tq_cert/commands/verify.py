"""`tq-cert verify BUNDLE`: derives a bundle's verdict again and finds everything that is wrong with it, offline."""

import argparse
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tq_cert.commands import Subcommands
from tq_cert.evidence.signing import load_public_key
from tq_cert.evidence.verdict import VERDICTS, StageOutcome
from tq_cert.evidence.verification.report import Report
from tq_cert.evidence.verification.verify import verify


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "verify",
        help="check an evidence bundle and derive its verdict again",
        description="Checks every file of a bundle against its seal and derives the verdict again from the raw "
        "measurements, offline and without MLX. Exit codes: 0 the bundle is intact and has the required verdict; "
        "1 it has faults; 2 it cannot be read; 3 this release cannot judge it.",
    )
    parser.add_argument("bundle", type=Path, help="a bundle's directory or its zip file")
    parser.add_argument("--require", choices=VERDICTS, help="the verdict that it has to have")
    parser.add_argument("--key", type=Path, help="PEM file with the public key that has to have signed it")
    parser.add_argument(
        "--wheel", type=Path, action="append", default=[], help="a wheel that it has to be about (repeatable)"
    )
    parser.add_argument("--json", action="store_true", help="print the whole report as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Verify the bundle and print the report."""
    key = load_public_key(arguments.key) if arguments.key else None
    report = verify(arguments.bundle, key=key, require=arguments.require, wheels=arguments.wheel)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _show(report)
    return report.exit_code


def _show(report: Report) -> None:
    console = Console(soft_wrap=True)
    for fault in report.faults:
        console.print(f"[red]fault[/red] {_shown(str(fault))}")
    if report.verdict is None:
        console.print("verdict: none, because of the faults")
        return
    console.print(_stages(report.verdict.stages))
    for reason in report.verdict.reasons:
        console.print(f"not passed: {_shown(reason)}")
    signed = f"signed by the key {report.signer}" if report.signer else "not signed"
    console.print(f"intact, {signed}, judged by {report.policy}")
    console.print(f"verdict: [bold]{report.verdict.name}[/bold] for {', '.join(report.families)}")


def _stages(stages: tuple[StageOutcome, ...]) -> Table:
    table = Table("stage", "outcome", "gates kept", "problems")
    for stage in stages:
        table.add_row(stage.stage, stage.outcome, stage.gates_kept, _shown("\n".join(stage.problems)))
    return table


def _shown(text: str) -> str:
    """The text without what a terminal or rich would obey: a bundle's words come from anywhere."""
    return escape("".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in text))
