"""tq-mlx bench: hand over to ``tq-cert bench``, which measures; it is a package of its own."""

import argparse
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Any

from tq_mlx.errors import ConfigError

PROGRAM = "tq-cert"


def add_to(subcommands: Any) -> None:
    """Add the subcommand's parser, which leaves every argument to the other program."""
    parser = subcommands.add_parser(
        "bench",
        help="measure quality, memory and speed (tq-cert bench)",
        add_help=False,
        prefix_chars="\0",  # so that no argument is an option of this program, --help least of all
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.set_defaults(run=bench)


def bench(options: argparse.Namespace) -> int:
    """Run ``tq-cert bench`` with the arguments and return its exit code; ConfigError if it is not installed."""
    beside = Path(sys.executable).with_name(PROGRAM)
    program = str(beside) if beside.exists() else which(PROGRAM)
    if program is None:
        raise ConfigError(f"{PROGRAM} measures, and it is not installed: pip install 'tq-cert[run]'")
    return subprocess.run([program, "bench", *options.arguments], check=False).returncode  # noqa: S603 (ours, by name)
