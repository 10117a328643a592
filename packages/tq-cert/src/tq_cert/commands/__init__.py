"""The subcommands of `tq-cert`, one module each."""

import argparse
from typing import TypeAlias

# What `ArgumentParser.add_subparsers` returns; argparse has no public name for it.
Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]
