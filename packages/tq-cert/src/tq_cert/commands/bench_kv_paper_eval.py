"""`tq-cert bench kv-paper-eval`: which of the papers' evaluations are run here, and with what result."""

import argparse

import msgspec

from tq_cert.commands import Subcommands
from tq_cert.commands.bench_arguments import RESUMED, add_model, add_output, add_research
from tq_cert.commands.bench_run import publish
from tq_cert.errors import EXIT_GOOD
from tq_cert.lanes import runtime
from tq_cert.lanes.envelope import TextInfo, report_of
from tq_cert.lanes.journal import Journal, journal_path
from tq_cert.lanes.kv_paper_eval.record import Probe
from tq_cert.lanes.kv_paper_eval.settings import METHODS, TIERS, EvalScope, EvalSettings
from tq_cert.lanes.kv_paper_eval.table import grids
from tq_cert.lanes.lists import parse_numbers
from tq_cert.lanes.quality.methods import default_methods, names_of, parse_methods
from tq_cert.lanes.quality.settings import LAYERS, MODES
from tq_cert.lanes.texts import leading_bos, read_text
from tq_cert.progress import open_progress

FAST = TIERS["fast-check"]


def add_parser(subcommands: Subcommands) -> None:
    """Declare the arguments."""
    parser = subcommands.add_parser(
        "kv-paper-eval",
        help="the papers' evaluations of a compressed cache: measured, or not run and why",
        description="Plants facts in long prompts and asks for them, has a passage copied over the length of the "
        "prompt, and lists what the papers evaluate besides, with the reason why it is not run here.",
    )
    add_model(parser)
    parser.add_argument(
        "--tier",
        choices=tuple(TIERS),
        default="fast-check",
        help="fast-check: minutes on a CPU; heavy-offline: longer prompts, more of them, all presets "
        "(default: %(default)s)",
    )
    parser.add_argument("--contexts", metavar="N1,N2,…", help="tokens of the prompts (default: the tier's)")
    for option, what in (
        ("--haystacks", "prompts of each length"),
        ("--needles", "facts in each prompt"),
        ("--passage", "tokens to be copied"),
        ("--chunk", "tokens fed at a time"),
        ("--seed", "of the facts and passages"),
    ):
        parser.add_argument(option, type=int, metavar="N", help=f"{what} (default: the tier's)")
    parser.add_argument("--mode", choices=MODES, default=FAST.mode, help="as in bench quality (default: %(default)s)")
    parser.add_argument(
        "--layers", choices=LAYERS, default=FAST.layers, help="as in bench quality (default: %(default)s)"
    )
    parser.add_argument("--methods", metavar="M1,M2,…", help="as in bench quality (default: the tier's)")
    add_research(parser)
    add_output(parser, RESUMED)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; print or write the report."""
    scope = scope_of(arguments)
    methods = parse_methods(arguments.methods or METHODS[arguments.tier] or default_methods())
    text = read_text(arguments.text)
    runtime.require()
    from tq_cert.lanes.kv_paper_eval.lane import eval_rows
    from tq_cert.lanes.models import load_model

    journal = Journal(journal_path(arguments.out), Probe)
    with open_progress(quiet=arguments.json) as progress:
        loaded = load_model(arguments.model, progress)
    provenance = runtime.provenance()
    with open_progress(quiet=arguments.json, unit="prompts") as progress, runtime.refusals():
        rows = eval_rows(loaded, text, methods, scope, provenance, journal, progress)
    tokens, bos = sum(scope.contexts) * scope.haystacks, bool(leading_bos(loaded.tokenizer))
    report = report_of(
        "kv_paper_eval",
        EvalSettings(arguments.tier, scope, names_of(methods)),
        provenance,
        rows,
        model=loaded.info,
        text=TextInfo(text.name, text.sha256, tokens, bos),
    )
    publish(arguments, report, grids(report))
    journal.discard()
    return EXIT_GOOD


def scope_of(arguments: argparse.Namespace) -> EvalScope:
    """The tier's scope with what was asked for instead."""
    asked = {name: getattr(arguments, name) for name in ("haystacks", "needles", "passage", "chunk", "seed")}
    if arguments.contexts is not None:
        asked["contexts"] = parse_numbers("--contexts", arguments.contexts)
    changes = {name: value for name, value in asked.items() if value is not None}
    scope = msgspec.structs.replace(
        TIERS[arguments.tier],
        **changes,
        mode=arguments.mode,
        layers=arguments.layers,
        research=arguments.research,
    )
    scope.check()
    return scope
