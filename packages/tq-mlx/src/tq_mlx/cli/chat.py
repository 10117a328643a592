"""tq-mlx chat: talk to a model in the terminal, its cache compressed and kept between turns.

Ctrl-C stops an answer; what was said so far stays. Questions can come through a pipe too, one a line.
"""

import argparse
import contextlib
import importlib
import sys
from typing import Any

from rich.console import Console

from tq_contract.exit_code import ExitCode
from tq_mlx.cli.advice import advise_on_speed
from tq_mlx.cli.arguments import positive, temperature
from tq_mlx.cli.conversation import Answer, ContextFullError, Conversation
from tq_mlx.cli.interrupt import deferred_interrupt
from tq_mlx.cli.model import add_model, load_model, read_config
from tq_mlx.cli.presets import add_preset, named_config
from tq_mlx.cli.quantities import size
from tq_mlx.cli.research import add_research
from tq_mlx.cli.tables import status_summary
from tq_mlx.model_shape import named
from tq_mlx.status import CacheStatus, status
from tq_mlx.support import admit_family, family_of

HELP = """\
/status  what the cache holds and costs
/reset   forget the conversation
/quit    leave (so does the end of input)
Ctrl-C   stop an answer"""


def add_to(subcommands: Any) -> None:
    """Add the subcommand's parser."""
    parser = subcommands.add_parser("chat", help="talk to a model in the terminal", description=__doc__, epilog=HELP)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_model(parser)
    add_preset(parser)
    parser.add_argument("--system", metavar="TEXT", help="what the model is told before the conversation")
    parser.add_argument("--context", type=positive, metavar="N", help="most tokens held (default: the model's most)")
    parser.add_argument(
        "--max-tokens", type=positive, default=512, metavar="N", help="per answer (default: %(default)s)"
    )
    parser.add_argument(
        "--temperature", type=temperature, default=0.0, metavar="T", help="0 is greedy (default: %(default)s)"
    )
    add_research(parser)
    parser.set_defaults(run=chat)


def chat(options: argparse.Namespace) -> int:
    """Run the subcommand."""
    config = named_config(options.preset)
    advise_on_speed()
    model, tokenizer = load_model(options.model)
    admit_family(family_of(model), research=options.research)
    conversation = Conversation(
        model,
        tokenizer,
        config,
        system=options.system,
        context=options.context or named(read_config(options.model), "max_position_embeddings"),
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        research=options.research,
    )
    talk(conversation, Console(stderr=True, highlight=False, markup=False, soft_wrap=True))
    return ExitCode.GOOD


def talk(conversation: Conversation, aside: Console) -> None:
    """Read questions and commands until the end; answers go to standard output, all else to ``aside``."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if terminal:
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")  # input() then edits lines
        aside.print("/help says what else can be typed here.", style="dim")
    while True:
        try:
            line = input("> " if terminal else "").strip()
        except EOFError:
            if terminal:
                print()
            return
        except KeyboardInterrupt:
            aside.print("\n/quit or the end of input leaves.", style="dim")
            continue
        if line == "/quit":
            return
        if line.startswith("/"):
            obey(line, conversation, aside)
        elif line:
            answer(line, conversation, aside)


def obey(command: str, conversation: Conversation, aside: Console) -> None:
    """Do what a command other than /quit says."""
    if command == "/reset":
        conversation.reset()
        aside.print("The conversation is forgotten.", style="dim")
    elif command == "/status":
        held = status(conversation.cache)
        aside.print(f"{len(conversation.tokens):,} tokens held; {saving(held)}", style="dim")
        aside.print(status_summary(held, conversation.config.label), style="dim")
    else:
        if command != "/help":
            aside.print(f"There is no command {command.split()[0]}.", style="dim")
        aside.print(HELP, style="dim")


def answer(question: str, conversation: Conversation, aside: Console) -> None:
    """Stream the answer to a question, then say what it cost."""
    with deferred_interrupt() as interruption:
        try:
            outcome = conversation.ask(question, say, lambda: interruption.requested)
        except ContextFullError as error:
            aside.print(str(error), style="dim")
            return
    print(flush=True)
    aside.print(cost(outcome), style="dim")
    if interruption.requested:
        aside.print("stopped" if outcome.text else "stopped; the question is taken back", style="dim")
    elif outcome.full:
        aside.print("the context is full: /reset starts anew", style="dim")


def say(text: str) -> None:
    print(text, end="", flush=True)


def cost(outcome: Answer) -> str:
    """Return one line on an answer's speed and its cache."""
    return (
        f"{outcome.tokens_per_second:.1f} tokens/s, {outcome.prefilled:,} tokens prefilled, {outcome.held:,} held; "
        f"{saving(outcome.cache)}"
    )


def saving(held: CacheStatus) -> str:
    """Return the cache's bytes beside the dense ones."""
    saved = held.dense_bytes - held.nbytes
    result = f"{size(saved)} saved" if saved > 0 else "nothing saved at this length"
    return f"cache {size(held.nbytes)}, dense {size(held.dense_bytes)}: {result}"
