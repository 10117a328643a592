"""tq-mlx plan: what a model's cache will cost, dense and by preset, from its config.json alone; no weights are needed.

Bytes are what the caches will have allocated, growth capacity included, after a prompt of that many tokens. The
weights, and the memory that computing takes for a moment, are not in them.
"""

import argparse
import json
from typing import Any

from rich.console import Console

from tq_contract.exit_code import ExitCode
from tq_mlx.cli.arguments import gigabytes, positive
from tq_mlx.cli.model import read_config
from tq_mlx.cli.plan_report import PlanReport, plan_report
from tq_mlx.cli.plan_tables import layer_lines, plan_table, remarks
from tq_mlx.cli.presets import preset_names
from tq_mlx.cli.tables import table_console
from tq_mlx.config import TurboQuantConfig
from tq_mlx.model_shape import model_shape

LADDER = (4096, 16384, 65536, 262144)
USUAL_CONTEXT = 32768
"""Where a configuration does not say for how many tokens its model was made."""


def add_to(subcommands: Any) -> None:
    """Add the subcommand's parser."""
    parser = subcommands.add_parser(
        "plan",
        help="what a model's cache will cost, from its config.json alone",
        description=__doc__,
        epilog="Exit code 3: no preset that was asked for compresses any layer of this model.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="directory with a config.json, that file, or the name of a cached hub model"
    )
    parser.add_argument(
        "--context", type=positive, nargs="+", metavar="N", help="tokens held (default: steps up to the model's most)"
    )
    parser.add_argument(
        "--memory", type=gigabytes, metavar="GB", help="memory for the cache alone, in 10^9 bytes: what context fits?"
    )
    parser.add_argument("--preset", nargs="+", metavar="NAME", help="presets of the contract (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=plan)


def plan(options: argparse.Namespace) -> int:
    """Run the subcommand."""
    configs = [TurboQuantConfig.from_preset(name) for name in options.preset or preset_names()]
    shape = model_shape(read_config(options.model))
    contexts = tuple(sorted(set(options.context))) if options.context else ladder(shape.max_context)
    report = plan_report(shape, configs, contexts, options.memory)
    if options.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        show(report)
    served = any(entry.plan and entry.plan.compressed for entry in report.presets)
    return ExitCode.GOOD if served else ExitCode.REFUSED


def ladder(most: int | None) -> tuple[int, ...]:
    """Return contexts worth a look: steps up to the most that the model was made for, and that."""
    last = most or USUAL_CONTEXT
    return (*(step for step in LADDER if step < last), last)


def show(report: PlanReport) -> None:
    """Print the layers, the table and what is to be known of its numbers."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(*layer_lines(report), sep="\n")
    table_console().print(plan_table(report))
    console.print(*remarks(report), sep="\n")
