"""`tq-cert pack BUNDLE ZIP`: a bundle's directory as the one form of zip file that `tq-cert verify` takes."""

import argparse
import json
from pathlib import Path

from tq_cert.commands import Subcommands
from tq_cert.errors import EXIT_GOOD
from tq_cert.evidence.archive import pack


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "pack",
        help="make one zip file of an evidence bundle",
        description="Writes a bundle's directory as a zip file. The same bundle always gives the same bytes.",
    )
    parser.add_argument("bundle", type=Path, help="the bundle's directory")
    parser.add_argument("archive", type=Path, help="the zip file to write")
    parser.add_argument("--json", action="store_true", help="print the file's path and SHA-256 as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file and print its path."""
    digest = pack(arguments.bundle, arguments.archive)
    print(json.dumps({"archive": str(arguments.archive), "sha256": digest}) if arguments.json else arguments.archive)
    return EXIT_GOOD
