"""`tq-cert pack BUNDLE ZIP`: a bundle's directory as the one form of zip file that `tq-cert verify` takes."""

import argparse
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file and print its path."""
    pack(arguments.bundle, arguments.archive)
    print(arguments.archive)
    return EXIT_GOOD
