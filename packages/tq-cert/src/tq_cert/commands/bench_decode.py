"""`tq-cert bench decode`: attention alone and whole decode steps against the length of the context."""

import argparse
import os
from pathlib import Path

from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import add_counts, add_lists, add_output, add_timed_model
from tq_cert.commands.bench_run import publish, timed
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes import runtime
from tq_cert.lanes.decode.plot import write_plot
from tq_cert.lanes.decode.record import DecodeReport
from tq_cert.lanes.decode.settings import DecodeSettings, parse_shape
from tq_cert.lanes.decode.table import grids
from tq_cert.lanes.encode.presets import own_presets, parse_presets
from tq_cert.lanes.lists import parse_numbers
from tq_cert.lanes.plots import check_plot

DEFAULTS = DecodeSettings(device="cpu", presets=own_presets())
SHAPES = tuple(f"{s.query_heads},{s.kv_heads},{s.head_dim}" for s in DEFAULTS.shapes)


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "decode",
        help="attention and whole decode steps against the length of the context",
        description="Times one new token's attention over dense, mlx-lm's quantized and our caches and, with a model, "
        "its whole decode steps: all in one run, in turns.",
    )
    add_timed_model(parser)
    parser.add_argument(
        "--presets",
        default=",".join(DEFAULTS.presets),
        metavar="P1,P2,…",
        help="of the contract (default: %(default)s)",
    )
    parser.add_argument(
        "--shapes",
        nargs="+",
        default=SHAPES,
        metavar="HQ,HK,D",
        help=f"query heads, KV heads and head dimension of attention alone (default: {' '.join(SHAPES)})",
    )
    add_lists(
        parser,
        ("--contexts", DEFAULTS.contexts, "tokens in the caches of attention alone, or none"),
        ("--batch", DEFAULTS.batches, "rows of attention alone"),
        ("--step-contexts", DEFAULTS.step_contexts, "tokens in the caches of a model's steps"),
    )
    add_counts(
        parser,
        ("--layers-per-eval", DEFAULTS.layers, "layers, each with a cache of its own, in one evaluation of attention"),
        ("--pipeline", DEFAULTS.pipeline, "evaluations timed together, each built while the one before runs"),
        ("--memory", DEFAULTS.memory_gb, "GB for the caches of one comparison; layers share what exceeds it"),
        ("--repeats", DEFAULTS.repeats, "timings of everything"),
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw attention's times (.png, .svg, .pdf)")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print, write or draw the report."""
    presets = parse_presets(arguments.presets)
    numbers = {
        name: () if text == "none" else parse_numbers(option, text)
        for name, option, text in (
            ("contexts", "--contexts", arguments.contexts),
            ("batches", "--batch", arguments.batch),
            ("step_contexts", "--step-contexts", arguments.step_contexts),
        )
    }
    if arguments.plot is not None:
        check_plot(arguments.plot)
    runtime.require()
    settings = DecodeSettings(
        device=runtime.use_device(arguments.device),
        presets=presets,
        contexts=numbers["contexts"],
        shapes=tuple(parse_shape(text) for text in arguments.shapes),
        batches=numbers["batches"],
        layers=arguments.layers_per_eval,
        pipeline=arguments.pipeline,
        memory_gb=arguments.memory,
        step_contexts=numbers["step_contexts"],
        repeats=arguments.repeats,
        blas_threads=os.environ.get("OPENBLAS_NUM_THREADS"),
    )
    settings.check()
    from tq_cert.lanes.decode.lane import decode_rows

    report: DecodeReport = timed("decode", decode_rows, settings, arguments.model, quiet=arguments.json)
    if arguments.plot is not None:
        write_plot(report, arguments.plot)
    publish(arguments, report, grids(report))
    return EXIT_GOOD
