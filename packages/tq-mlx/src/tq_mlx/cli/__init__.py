"""The command tq-mlx: one subcommand per file."""

from tq_mlx.cli.main import command, main

__all__ = ["command", "main"]
