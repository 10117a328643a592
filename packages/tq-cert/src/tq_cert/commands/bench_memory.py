"""`tq-cert bench memory`: peak memory and cache bytes of a generation, dense and compressed."""

import argparse
from pathlib import Path

import msgspec

from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import add_counts, add_methods, add_model, add_output, add_research
from tq_cert.commands.bench_run import publish
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes import runtime
from tq_cert.lanes.envelope import TextInfo, report_of
from tq_cert.lanes.memory.record import DTYPES, Job, MemoryScope, MemorySettings
from tq_cert.lanes.memory.table import grids
from tq_cert.lanes.quality.methods import names_of, parse_methods
from tq_cert.lanes.texts import read_text
from tq_cert.progress import open_progress

DEFAULT_METHODS = "dense,mlx:kv4,preset:uniform_k4v4,preset:lloyd_k4v4"


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "memory",
        help="peak memory and cache bytes of a generation, dense and compressed",
        description="Prefills a prompt, compresses the cache and decodes, each method in a process of its own, and "
        "reports MLX's peak memory by phase and the bytes of the cache.",
    )
    add_model(parser)
    scope = MemoryScope()
    add_counts(
        parser,
        ("--context", scope.context, "tokens of the prompt"),
        ("--steps", scope.steps, "tokens decoded after it"),
        ("--chunk", scope.chunk, "tokens of the prompt fed at a time"),
        ("--start", scope.start, "compress from N tokens on; the prompt's length or more compresses after the prefill"),
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default=scope.dtype, help="cast the model first (default: %(default)s, as it is)"
    )
    add_methods(parser, DEFAULT_METHODS)
    add_research(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print or write the report."""
    scope = MemoryScope(
        **{name: getattr(arguments, name) for name in MemoryScope.__struct_fields__},
    )
    scope.check()
    methods = parse_methods(arguments.methods)
    text = read_text(arguments.text)
    runtime.require()
    from tq_cert.lanes.memory.lane import memory_rows

    path = None if arguments.text is None else str(Path(arguments.text).resolve())
    jobs = [
        Job(arguments.model, path, method.name, msgspec.to_builtins(method.parameters), scope) for method in methods
    ]
    with open_progress(quiet=arguments.json, unit="runs") as progress:
        rows = memory_rows(jobs, progress)
    report = report_of(
        "memory",
        MemorySettings(scope, names_of(methods)),
        runtime.provenance(),
        rows,
        model=rows[0].model,
        text=TextInfo(text.name, text.sha256, scope.context, rows[0].bos),
    )
    publish(arguments, report, grids(report))
    return EXIT_GOOD
