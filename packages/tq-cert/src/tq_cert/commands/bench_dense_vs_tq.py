"""`tq-cert bench dense-vs-tq`: speed, peak memory and cache bytes over prompt lengths."""

import argparse

from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import RESUMED, add_counts, add_methods, add_model, add_output, add_research
from tq_cert.commands.bench_memory import DEFAULT_METHODS
from tq_cert.commands.bench_run import publish
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes import runtime
from tq_cert.lanes.dense_vs_tq.record import CompareScope, CompareSettings
from tq_cert.lanes.dense_vs_tq.table import grids
from tq_cert.lanes.envelope import TextInfo, report_of
from tq_cert.lanes.journal import Journal, journal_path
from tq_cert.lanes.lists import parse_numbers
from tq_cert.lanes.memory.record import DTYPES, MemoryRow
from tq_cert.lanes.quality.methods import names_of, parse_methods
from tq_cert.lanes.texts import read_text
from tq_cert.progress import open_progress

DEFAULTS = CompareScope()


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "dense-vs-tq",
        help="speed, peak memory and cache bytes over prompt lengths, dense beside compressed",
        description="Prefills prompts of several lengths, compresses the cache and decodes; every run in a process of "
        "its own, all of them in turns.",
    )
    add_model(parser)
    parser.add_argument(
        "--contexts",
        default=",".join(map(str, DEFAULTS.contexts)),
        metavar="N1,N2,…",
        help="tokens of the prompts, shortest first (default: %(default)s)",
    )
    add_counts(
        parser,
        ("--steps", DEFAULTS.steps, "tokens decoded after each prompt"),
        ("--repeats", DEFAULTS.repeats, "processes of each method at each length"),
        ("--chunk", DEFAULTS.chunk, "tokens of a prompt fed at a time"),
        ("--start", DEFAULTS.start, "compress from N tokens on; the prompt's length or more: after the prefill"),
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default=DEFAULTS.dtype, help="cast the model first (default: %(default)s, as it is)"
    )
    add_methods(parser, DEFAULT_METHODS)
    add_research(parser)
    add_output(parser, RESUMED)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print or write the report."""
    scope = CompareScope(
        contexts=parse_numbers("--contexts", arguments.contexts),
        **{name: getattr(arguments, name) for name in ("steps", "repeats", "chunk", "start", "dtype", "research")},
    )
    scope.check()
    methods = parse_methods(arguments.methods)
    text = read_text(arguments.text)
    runtime.require()
    from tq_cert.lanes.dense_vs_tq.lane import compare, compare_rows
    from tq_cert.lanes.models import locate

    journal = Journal(journal_path(arguments.out), MemoryRow)
    with open_progress(quiet=arguments.json) as progress:
        located = locate(arguments.model, progress)
    provenance = runtime.provenance()
    with open_progress(quiet=arguments.json, unit="runs") as progress:
        runs = compare(located, text, arguments.text, methods, scope, provenance, journal, progress)
    first = next(iter(runs.values()))[0]
    report = report_of(
        "dense_vs_tq",
        CompareSettings(scope, names_of(methods)),
        provenance,
        compare_rows(runs),
        model=first.model,
        text=TextInfo(text.name, text.sha256, scope.contexts[-1], first.bos),
    )
    publish(arguments, report, grids(report))
    journal.discard()
    return EXIT_GOOD
