"""`tq-cert bench layer-error`: errors of decoded keys and values, layer by layer."""

import argparse

from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import add_counts, add_model, add_output, add_research
from tq_cert.commands.bench_run import publish
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes import runtime
from tq_cert.lanes.envelope import report_of
from tq_cert.lanes.layer_error.record import LayerErrorSettings
from tq_cert.lanes.layer_error.table import grids
from tq_cert.lanes.quality.methods import names_of, parse_methods
from tq_cert.lanes.texts import cut, read_text
from tq_cert.progress import open_progress

DEFAULTS = LayerErrorSettings()
DEFAULT_METHODS = "mlx:kv4,preset:lloyd_k4v4,preset:equal_noise_k4v4,preset:paper_mse,preset:polarquant_exp"


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "layer-error",
        help="how far decoded keys and values are from those that went in, by layer",
        description="Runs a text once with a dense cache, compresses copies of it, and compares what the codes stand "
        "for with what went in.",
    )
    add_model(parser)
    add_counts(
        parser,
        ("--context", DEFAULTS.context, "tokens of the text"),
        ("--chunk", DEFAULTS.chunk, "tokens fed at a time"),
    )
    parser.add_argument(
        "--methods",
        default=DEFAULT_METHODS,
        metavar="M1,M2,…",
        help="mlx:kvB, mlx:kvBgG, preset:NAME, config:FILE (default: %(default)s)",
    )
    add_research(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print or write the report."""
    methods = parse_methods(arguments.methods)
    settings = LayerErrorSettings(arguments.context, arguments.chunk, arguments.research, names_of(methods))
    settings.check()
    text = read_text(arguments.text)
    runtime.require()
    from tq_cert.lanes.layer_error.measure import layer_error_rows
    from tq_cert.lanes.models import load_model

    with open_progress(quiet=arguments.json) as progress:
        loaded = load_model(arguments.model, progress)
    windows = cut(text, loaded.tokenizer, context=settings.context, windows=1)
    provenance = runtime.provenance()
    with open_progress(quiet=arguments.json, unit="methods") as progress, runtime.refusals():
        rows = layer_error_rows(loaded, windows, methods, settings, progress)
    report = report_of("layer_error", settings, provenance, rows, model=loaded.info, text=windows.info)
    publish(arguments, report, grids(report))
    return EXIT_GOOD
