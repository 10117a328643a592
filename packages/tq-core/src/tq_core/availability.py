"""Imports MLX before anything else here does, and says what to do where that fails.

On Linux the package `mlx` brings no library of its own: that is in `mlx[cpu]` and `mlx[cuda]`.
"""

import platform
import sys
from importlib.metadata import requires

WHERE = "macOS 14 or newer on Apple Silicon (an arm64 Python) and Linux with glibc 2.35 or newer on x86_64 or aarch64"
"""What MLX 0.32 has packages for."""


def explained(error: ImportError) -> ImportError:
    """Return an error that says what could not be imported, and the remedy on this machine."""
    needed = [one.split(";")[0].strip() for one in requires("tq-core") or () if sys.platform in one]
    remedy = f'pip install "{needed[0]}"' if needed else "another machine"
    return ImportError(
        f"tq_core needs MLX, and importing it failed: {error}\n"
        f"  remedy: {remedy}. MLX has packages for {WHERE}; this is {platform.system()} {platform.machine()}. "
        "Neither tq-contract nor tq-cert verify needs it.",
        name="mlx",
    )


try:
    import mlx.core  # noqa: F401  # pyright: ignore[reportUnusedImport]
except ImportError as error:
    raise explained(error) from error
