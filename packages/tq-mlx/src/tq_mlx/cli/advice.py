"""What would make a command faster, said before it begins."""

import sys

from tq_mlx import openblas


def advise_on_speed() -> None:
    """Say on standard error which library to install, if matrix products are slow for want of it."""
    if openblas.outcome == "missing":
        print(f"tq-mlx: {openblas.ADVICE}", file=sys.stderr)
