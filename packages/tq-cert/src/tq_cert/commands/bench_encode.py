"""`tq-cert bench encode`: what coding costs per value, and beside a model's decode step."""

import argparse

from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import add_counts, add_output, add_research, add_timed_model
from tq_cert.commands.bench_run import publish, timed
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes import runtime
from tq_cert.lanes.encode.presets import own_presets, parse_presets
from tq_cert.lanes.encode.record import EncodeReport
from tq_cert.lanes.encode.settings import HEAD_DIMS, EncodeSettings
from tq_cert.lanes.encode.table import grids
from tq_cert.lanes.lists import parse_numbers

DEFAULTS = EncodeSettings(presets=())


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "encode",
        help="what coding new tokens costs, per value and as a share of decoding",
        description="Times the coding and decoding of a block of tokens with each preset and, with a model, one "
        "decode step beside it: all in one run, in turns. On a GPU the fused kernel is timed beside the reference.",
    )
    add_timed_model(parser)
    parser.add_argument("--presets", metavar="P1,P2,…", help="of the contract (default: those that we recommend)")
    parser.add_argument(
        "--head-dims",
        default=",".join(map(str, HEAD_DIMS)),
        metavar="D1,D2,…",
        help="head dimensions to time without a model (default: %(default)s)",
    )
    add_counts(
        parser,
        ("--heads", DEFAULTS.heads, "KV heads of the vectors that are timed without a model"),
        ("--context", DEFAULTS.context, "tokens in the cache when a decode step is timed"),
        ("--repeats", DEFAULTS.repeats, "timings of everything"),
    )
    parser.add_argument(
        "--tokens", type=int, metavar="N", help="tokens that are coded without a model (default: a preset's block)"
    )
    add_research(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print or write the report."""
    settings = EncodeSettings(
        presets=own_presets() if arguments.presets is None else parse_presets(arguments.presets),
        head_dims=parse_numbers("--head-dims", arguments.head_dims),
        heads=arguments.heads,
        tokens=arguments.tokens,
        repeats=arguments.repeats,
        context=arguments.context,
        research=arguments.research,
    )
    settings.check()
    runtime.require()
    runtime.use_device(arguments.device)
    from tq_cert.lanes.encode.lane import encode_rows

    report: EncodeReport = timed("encode", encode_rows, settings, arguments.model, quiet=arguments.json)
    publish(arguments, report, grids(report))
    return EXIT_GOOD
