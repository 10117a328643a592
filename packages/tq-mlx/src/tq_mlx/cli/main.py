"""Parse the command line, run the subcommand, turn typed errors into messages and exit codes.

Exit codes: 0 good, 1 findings, 2 usage or input/output, 3 refused.
"""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import NoReturn

from tq_contract import UnknownNameError
from tq_contract.exit_code import ExitCode
from tq_core import NonFiniteError, TurboQuantError
from tq_mlx.cli import bench, chat, generate, inspect, plan, serve
from tq_mlx.errors import (
    HookError,
    UnsupportedAttentionError,
    UnsupportedCacheError,
    UnsupportedFamilyError,
)
from tq_mlx.hooks import check_version

REFUSALS = (HookError, NonFiniteError, UnsupportedAttentionError, UnsupportedCacheError, UnsupportedFamilyError)

COMMANDS = (generate, chat, serve, inspect, plan, bench)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    top = argparse.ArgumentParser(
        prog="tq-mlx",
        description="Compressed KV caches for mlx-lm.",
        epilog="Exit codes: 0 good, 1 findings, 2 wrong usage, input or output, 3 refused.",
    )
    top.add_argument("--version", action="version", version=version("tq-mlx"))
    subcommands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(subcommands)
    for subcommand in subcommands.choices.values():
        subcommand.set_defaults(misused=subcommand.error)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.misused(f"there is no option {unknown[0]}")  # with the subcommand's own usage
    try:
        check_version()
        code = options.run(options)
        sys.stdout.flush()  # a pipe that nobody reads any more is noticed here
        return code
    except KeyboardInterrupt:
        print("tq-mlx: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read the output has had enough; nothing may be left for Python to flush at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (TurboQuantError, UnknownNameError, OSError) as error:
        prefix = "refused: " if isinstance(error, REFUSALS) else ""
        print(f"tq-mlx: {prefix}{message_of(error)}", file=sys.stderr)
        if getattr(options, "json", False):
            print_as_json(error)
        return ExitCode.REFUSED if prefix else ExitCode.USAGE_OR_IO


def message_of(error: Exception) -> str:
    """Return what an error says, the system's without their numbers."""
    if not isinstance(error, OSError):
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def print_as_json(error: Exception) -> None:
    """Print the error where a program expects the result, unless that is what cannot be written to."""
    document = {"error": {"type": type(error).__name__, "message": message_of(error)}}
    with suppress(OSError):
        print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)


def command() -> NoReturn:
    """Run the command as the process that it is, and end that with its exit code.

    An interpreter that ends by itself after another thread has computed, as the server's does, is aborted by MLX 0.32
    on Linux, mlx-lm's own server included: a thread of MLX's is still to be joined then.
    """
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)
