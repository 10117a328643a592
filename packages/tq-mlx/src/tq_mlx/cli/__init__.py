"""The command tq-mlx: one subcommand per file."""

from tq_mlx.cli.main import main

__all__ = ["main"]
