"""`tq-cert bench inner-product-bias`: bias and variance of each codec's estimated inner products."""

import argparse

from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import add_counts, add_lists, add_output
from tq_cert.commands.bench_run import publish
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes import runtime
from tq_cert.lanes.envelope import report_of
from tq_cert.lanes.forms import candidates, parse_forms
from tq_cert.lanes.inner_product_bias.settings import BiasSettings
from tq_cert.lanes.inner_product_bias.table import grids
from tq_cert.lanes.lists import parse_numbers
from tq_cert.progress import open_progress

DEFAULTS = BiasSettings()


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "inner-product-bias",
        help="bias and variance of estimated inner products, against theory",
        description="Codes random unit vectors with every codec, estimates inner products over the codes, and sets "
        "their bias and their error against what theory expects.",
    )
    add_lists(
        parser,
        ("--codecs", DEFAULTS.codecs, "codecs"),
        ("--bits", DEFAULTS.bits, "widths; a codec that lacks one is left out there"),
        ("--head-dims", DEFAULTS.head_dims, "dimensions"),
    )
    add_counts(
        parser,
        ("--vectors", DEFAULTS.vectors, "vectors coded for each seed"),
        ("--queries", DEFAULTS.queries, "queries for each vector, at each cosine"),
        ("--seeds", DEFAULTS.seeds, "rotations and sketches that are drawn"),
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print or write the report."""
    settings = BiasSettings(
        codecs=parse_forms(arguments.codecs),
        bits=parse_numbers("--bits", arguments.bits),
        head_dims=parse_numbers("--head-dims", arguments.head_dims),
        vectors=arguments.vectors,
        queries=arguments.queries,
        seeds=arguments.seeds,
    )
    settings.check()
    candidates(settings.codecs, settings.bits)
    runtime.require()
    from tq_cert.lanes.inner_product_bias.measure import bias_rows

    provenance = runtime.provenance()
    with open_progress(quiet=arguments.json, unit="codecs") as progress, runtime.refusals():
        rows = bias_rows(settings, progress)
    report = report_of("inner_product_bias", settings, provenance, rows)
    publish(arguments, report, grids(report))
    return EXIT_GOOD
