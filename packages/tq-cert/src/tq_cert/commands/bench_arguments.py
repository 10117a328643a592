"""What the bench lanes share on the command line: the model, the text, the scope, and where the report goes."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from tq_cert import sample_models
from tq_cert.lanes.decode.settings import DEVICES
from tq_cert.lanes.quality.settings import LAYERS, MODES, Scope


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare the model and the text."""
    parser.add_argument(
        "--model",
        required=True,
        metavar="|".join((*sample_models.NAMES, "DIR")),
        help="a sample model (built on first use) or a directory that mlx-lm loads",
    )
    parser.add_argument(
        "--text", type=Path, metavar="FILE", help="UTF-8 text to measure on (default: Python's documentation topics)"
    )


def add_timed_model(parser: argparse.ArgumentParser) -> None:
    """Declare the model whose decode steps are timed, where there is to be one, and the device."""
    parser.add_argument(
        "--model",
        metavar="|".join((*sample_models.NAMES, "DIR")),
        help="also time decode steps of a sample model or of a directory that mlx-lm loads",
    )
    parser.add_argument("--device", choices=DEVICES, help="of MLX (default: MLX's own choice)")


def add_counts(parser: argparse.ArgumentParser, *counts: tuple[str, int, str]) -> None:
    """Declare options that take one whole number each: their names, defaults and what they count."""
    for option, default, what in counts:
        parser.add_argument(option, type=int, default=default, metavar="N", help=f"{what} (default: %(default)s)")


def add_lists(parser: argparse.ArgumentParser, *lists: tuple[str, Iterable[object], str]) -> None:
    """Declare options that take a list with commas between: their names, defaults and what they list."""
    for option, default, what in lists:
        shown = ",".join(map(str, default))
        parser.add_argument(option, default=shown, metavar="LIST", help=f"{what} (default: %(default)s)")


def add_methods(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare the methods that are compared."""
    parser.add_argument(
        "--methods",
        default=default,
        metavar="M1,M2,…",
        help="dense, mlx:kvB, mlx:kvBgG, preset:NAME, config:FILE (default: %(default)s)",
    )


def add_research(parser: argparse.ArgumentParser) -> None:
    """Declare the opt-in to research-only families."""
    parser.add_argument(
        "--research",
        action="store_true",
        help="compress a model of a family that the contract lists as research-only, too",
    )


def add_scope(parser: argparse.ArgumentParser, *, context: int, windows: int) -> None:
    """Declare how much is measured, and how."""
    parser.add_argument(
        "--context", type=int, default=context, metavar="N", help="tokens of a window (default: %(default)s)"
    )
    parser.add_argument(
        "--windows", type=int, default=windows, metavar="N", help="windows of the text (default: %(default)s)"
    )
    parser.add_argument(
        "--chunk", type=int, default=256, metavar="N", help="tokens fed at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="stress",
        help="stress: every token but the sinks is coded at once; service: the configuration's own tail stays dense "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--layers",
        choices=LAYERS,
        default="default",
        help="default: what the support gate admits; all: every layer, sliding windows too, past the gate, for "
        "evaluation (default: %(default)s)",
    )
    add_research(parser)


RESUMED = "write the report as JSON; an interrupted run with the same FILE goes on where it stopped"
"""Help of --out in the lanes that keep a journal beside FILE."""


def add_output(parser: argparse.ArgumentParser, out: str = "write the report as JSON, once all is measured") -> None:
    """Declare where the report goes; ``out`` is the help of --out."""
    parser.add_argument("--out", type=Path, metavar="FILE", help=out)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as GitHub Markdown")
    parser.add_argument("--json", action="store_true", help="print the report as JSON, no progress")


def scope_of(arguments: argparse.Namespace) -> Scope:
    """The scope that was asked for.

    Raises:
        OptionError: a number is out of range.
    """
    scope = Scope(
        context=arguments.context,
        windows=arguments.windows,
        chunk=arguments.chunk,
        mode=arguments.mode,
        layers=arguments.layers,
        research=arguments.research,
    )
    scope.check()
    return scope
