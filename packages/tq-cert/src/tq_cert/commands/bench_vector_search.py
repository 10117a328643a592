"""`tq-cert bench vector-search`: recall, bytes and times of the codecs as vector indexes."""

import argparse

from tq_cert import sample_models
from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import add_counts, add_lists, add_output
from tq_cert.commands.bench_run import publish, timed
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes import runtime
from tq_cert.lanes.forms import candidates, parse_forms
from tq_cert.lanes.lists import parse_numbers
from tq_cert.lanes.vector_search.record import SearchReport
from tq_cert.lanes.vector_search.settings import SearchSettings
from tq_cert.lanes.vector_search.table import grids

DEFAULTS = SearchSettings()


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "vector-search",
        help="recall, index bytes and times of the codecs as vector indexes, against exact search",
        description="Codes vectors with every codec, searches them through the codec's own scores, and compares what "
        "is found with exact search: on generated vectors, or on a model's token embedding.",
    )
    parser.add_argument(
        "--embedding",
        metavar="|".join((*sample_models.NAMES, "DIR")),
        help="search the token embedding of a sample model or of a directory that mlx-lm loads (default: generated)",
    )
    add_lists(
        parser,
        ("--codecs", DEFAULTS.codecs, "codecs"),
        ("--bits", DEFAULTS.bits, "widths; a codec that lacks one is left out there"),
    )
    add_counts(
        parser,
        ("--vectors", DEFAULTS.vectors, "vectors in the index"),
        ("--queries", DEFAULTS.queries, "vectors searched for, none of them in the index"),
        ("--dim", DEFAULTS.dim, "dimension of generated vectors"),
        ("--clusters", DEFAULTS.clusters, "clusters of generated vectors"),
        ("--repeats", DEFAULTS.repeats, "timings of everything"),
        ("--seed", DEFAULTS.seed, "of the data and the codecs"),
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print or write the report."""
    settings = SearchSettings(
        codecs=parse_forms(arguments.codecs),
        bits=parse_numbers("--bits", arguments.bits),
        **{name: getattr(arguments, name) for name in ("vectors", "queries", "dim", "clusters", "repeats", "seed")},
    )
    settings.check()
    candidates(settings.codecs, settings.bits)
    runtime.require()
    from tq_cert.lanes.vector_search.measure import search_rows

    report: SearchReport = timed(
        "vector_search", search_rows, settings, arguments.embedding, quiet=arguments.json, unit="steps"
    )
    publish(arguments, report, grids(report))
    return EXIT_GOOD
