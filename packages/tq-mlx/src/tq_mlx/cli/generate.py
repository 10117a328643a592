"""tq-mlx generate: text from a compressed cache, and what the compression did; --compare runs dense beside it."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from tq_contract.exit_code import ExitCode
from tq_mlx.cli.advice import advise_on_speed
from tq_mlx.cli.arguments import natural, positive
from tq_mlx.cli.measured_run import Comparison, Run, compare, run
from tq_mlx.cli.model import add_model, load_model, prompt_tokens
from tq_mlx.cli.presets import add_preset, named_config
from tq_mlx.cli.progress import progress_bar
from tq_mlx.cli.research import add_research
from tq_mlx.cli.tables import comparison_table, status_summary
from tq_mlx.errors import ConfigError
from tq_mlx.support import admit_family, family_of


def add_to(subcommands: Any) -> None:
    """Add the subcommand's parser."""
    parser = subcommands.add_parser("generate", help="generate text from a compressed cache", description=__doc__)
    add_model(parser)
    add_preset(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prompt", metavar="TEXT", help="the prompt; - reads standard input")
    source.add_argument("--prompt-file", metavar="FILE", type=Path, help="a file with the prompt, UTF-8")
    parser.add_argument(
        "--max-tokens", type=positive, default=256, metavar="N", help="to generate (default: %(default)s)"
    )
    parser.add_argument("--start", type=natural, default=0, metavar="N", help="compress from N tokens on (default: 0)")
    parser.add_argument("--raw", action="store_true", help="do not apply the model's chat template to the prompt")
    parser.add_argument("--compare", action="store_true", help="run the dense cache too, and measure the difference")
    add_research(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=generate)


def generate(options: argparse.Namespace) -> int:
    """Run the subcommand."""
    config = named_config(options.preset)
    prompt = read_prompt(options)
    advise_on_speed()
    model, tokenizer = load_model(options.model)
    admit_family(family_of(model), research=options.research)
    tokens = prompt_tokens(tokenizer, prompt, raw=options.raw)
    limits = {"max_tokens": options.max_tokens, "start": options.start, "research": options.research}
    with progress_bar(quiet=options.json) as phases:
        if options.compare:
            outcome = compare(model, tokenizer, tokens, config, phases=phases, **limits)
        else:
            outcome = run(model, tokenizer, tokens, config, phases=phases, **limits)
    if options.json:
        print(json.dumps(outcome.to_dict(), indent=2, ensure_ascii=False))
    else:
        show(outcome)
    return ExitCode.GOOD


def read_prompt(options: argparse.Namespace) -> str:
    """Return the prompt from where the options say; ConfigError if it is empty or no text."""
    try:
        if options.prompt_file is not None:
            prompt = options.prompt_file.read_text(encoding="utf-8")
        elif options.prompt == "-":
            if sys.stdin.isatty():
                print("Type the prompt; Ctrl-D ends it.", file=sys.stderr)
            prompt = sys.stdin.read()
        else:
            prompt = options.prompt
    except UnicodeDecodeError as error:
        raise ConfigError(f"the prompt is no UTF-8 text: {error}") from error
    if not prompt.strip():
        raise ConfigError("the prompt is empty: give it at least one word")
    return prompt


def show(outcome: Run | Comparison) -> None:
    """Print the text to standard output and the rest for people to standard error."""
    compressed = outcome.compressed if isinstance(outcome, Comparison) else outcome
    print(compressed.text, flush=True)
    console = Console(stderr=True, highlight=False)
    if isinstance(outcome, Comparison):
        console.print(comparison_table(outcome))
    console.print(status_summary(compressed.status, compressed.label), soft_wrap=True)
