"""`tq-cert bench quality`: KL divergence, perplexity and stored bits of each method against the dense run."""

import argparse

from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import RESUMED, add_model, add_output, add_scope, scope_of
from tq_cert.commands.bench_run import measure, publish
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes.quality.methods import default_methods, names_of, parse_methods
from tq_cert.lanes.quality.settings import QualitySettings
from tq_cert.lanes.quality.table import grids


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "quality",
        help="how far each compressed cache moves the model's predictions",
        description="Runs real text through the model once dense and once per method, in chunks, through the real "
        "cache and attention, and compares the predictions over the full vocabulary.",
    )
    add_model(parser)
    add_scope(parser, context=1024, windows=8)
    parser.add_argument(
        "--methods",
        metavar="M1,M2,…",
        help="dense, mlx:kvB, mlx:kvBgG, preset:NAME, config:FILE (default: dense, mlx:kv8, mlx:kv4, all presets)",
    )
    parser.add_argument(
        "--positions", action="store_true", help="keep the KL of every position in the report, to recompute quantiles"
    )
    add_output(parser, RESUMED)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print or write the report."""
    scope = scope_of(arguments)
    methods = parse_methods(default_methods() if arguments.methods is None else arguments.methods)
    settings = QualitySettings(scope, names_of(methods))
    measured = measure(arguments, scope, methods, keep_positions=arguments.positions)
    report = measured.envelope("quality", settings, measured.rows)
    publish(arguments, report, grids(report))
    measured.journal.discard()
    return EXIT_GOOD
