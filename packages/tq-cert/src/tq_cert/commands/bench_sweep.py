"""`tq-cert bench sweep`: the quality lane over a grid of configurations, and its Pareto front."""

import argparse
from pathlib import Path
from typing import cast

from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import RESUMED, add_model, add_output, add_scope, scope_of
from tq_cert.commands.bench_run import measure, publish
from tq_cert.errors import EXIT_GOOD, OptionError
from tq_cert.lanes.plots import check_plot
from tq_cert.lanes.quality.methods import Method, names_of, parse_methods
from tq_cert.lanes.sweep.grid import CODECS, LEVERS, Codec, Lever, bits_list, make_grid, names_list
from tq_cert.lanes.sweep.plot import write_plot
from tq_cert.lanes.sweep.record import SweepSettings, sweep_rows
from tq_cert.lanes.sweep.table import grids


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "sweep",
        help="quality over bits, codecs and levers, with the Pareto front",
        description="Measures every combination of key bits, value bits, codec and levers as `bench quality` does, "
        "and shows those that no other beats in both stored bits and KL.",
    )
    add_model(parser)
    add_scope(parser, context=256, windows=2)
    for option, default, what in (
        ("--k-bits", "2,3,4,5", "bits of the keys' codes"),
        ("--v-bits", "2,3,4", "bits of the values' codes"),
        ("--codecs", ",".join(CODECS), f"of {', '.join(CODECS)}"),
        ("--levers", "none", f"switched on and off: all, none or some of {', '.join(LEVERS)}; the others stay on"),
        ("--references", "mlx:kv4,mlx:kv8", "methods measured beside the grid, or none"),
    ):
        parser.add_argument(option, default=default, metavar="LIST", help=f"{what} (default: %(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw KL against stored bits (.png, .svg, .pdf)")
    add_output(parser, RESUMED)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure the grid; print, write or draw the report."""
    scope = scope_of(arguments)
    references = () if arguments.references == "none" else parse_methods(arguments.references)
    settings = SweepSettings(
        scope=scope,
        codecs=names_list("--codecs", arguments.codecs, CODECS),
        k_bits=bits_list("--k-bits", arguments.k_bits),
        v_bits=bits_list("--v-bits", arguments.v_bits),
        levers=names_list("--levers", arguments.levers, LEVERS),
        references=names_of(references),
    )
    points = make_grid(
        cast("tuple[Codec, ...]", settings.codecs),
        settings.k_bits,
        settings.v_bits,
        cast("tuple[Lever, ...]", settings.levers),
    )
    if not points:
        raise OptionError("--codecs", "there is nothing to combine", f"name at least one of {', '.join(CODECS)}")
    if arguments.plot is not None:
        check_plot(arguments.plot)
    methods: list[Method] = [*(point.method for point in points), *references]
    measured = measure(arguments, scope, methods, keep_positions=False)
    report = measured.envelope("sweep", settings, sweep_rows(points, measured.rows))
    if arguments.plot is not None:
        write_plot(report, arguments.plot)
    publish(arguments, report, grids(report))
    measured.journal.discard()
    return EXIT_GOOD
