"""Parse the command line, run the subcommand, turn typed errors into messages and exit codes.

Exit codes: 0 good, 1 findings, 2 usage or input/output, 3 refused.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
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
    except REFUSALS as error:
        print(f"tq-mlx: refused: {error}", file=sys.stderr)
        return ExitCode.REFUSED
    except (TurboQuantError, UnknownNameError) as error:
        print(f"tq-mlx: {error}", file=sys.stderr)
        return ExitCode.USAGE_OR_IO
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"tq-mlx: {where}{error.strerror or error}", file=sys.stderr)
        return ExitCode.USAGE_OR_IO


def command() -> NoReturn:
    """Run the command as the process that it is, and end that with its exit code.

    An interpreter that ends by itself after another thread has computed, as the server's does, is aborted by MLX 0.32
    on Linux, mlx-lm's own server included: a thread of MLX's is still to be joined then.
    """
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)
