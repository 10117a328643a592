"""`tq-cert report`: one HTML page of an evidence bundle, or of a folder of benchmark reports."""

import argparse
import json
from pathlib import Path

from tq_cert.commands import Subcommands
from tq_cert.errors import EXIT_GOOD, OptionError
from tq_cert.evidence.paths import MANIFEST
from tq_cert.files import write_whole
from tq_cert.report.from_bundle import page_of_bundle
from tq_cert.report.from_reports import page_of_reports
from tq_cert.report.html import html
from tq_cert.report.picture import picture


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "report",
        help="one self-contained HTML page of an evidence bundle, or of benchmark reports",
        description="Draws what was measured: KL against stored bits, cache bytes, peak memory and time per token "
        "against context, error by layer, with every table and its provenance. A bundle is verified first, and its "
        "verdict derived again; of one with faults no page is made. Exit codes: 0 good; 1 the bundle has faults; "
        "2 usage or files.",
    )
    parser.add_argument("source", type=Path, help="a bundle (directory or zip), or a folder with JSON of tq-cert bench")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="write KL against stored bits of a folder's models as one SVG"
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write what was asked for."""
    source: Path = arguments.source
    bundle = source.is_file() or (source / MANIFEST).is_file()
    if arguments.html is None and arguments.picture is None:
        raise OptionError("--html", "nothing is to be written", "name a file with --html or --picture")
    if not source.exists():
        raise OptionError("source", f"there is no {source}", "name a bundle or a folder")
    if bundle and arguments.picture is not None:
        raise OptionError("--picture", f"{source} is no folder of benchmark reports", "name one, or use --html")
    verdict = None
    if arguments.html is not None:
        page = page_of_bundle(source) if bundle else page_of_reports(source)
        verdict = page.verdict
        write_whole(arguments.html, html(page).encode())
    if arguments.picture is not None:
        write_whole(arguments.picture, picture(source))
    written = [str(path) for path in (arguments.html, arguments.picture) if path is not None]
    if arguments.json:
        print(json.dumps({"written": written, "verdict": verdict}, indent=2))
    else:
        print("\n".join(written))
    return EXIT_GOOD
