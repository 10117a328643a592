"""Faster matrix products on Linux CPUs.

MLX's Linux CPU build carries the reference BLAS, about 30 times slower than OpenBLAS. Where OpenBLAS's shared library
is present and loaded first, MLX's calls resolve to it; so this module must be imported before ``mlx.core``.
"""

import ctypes
import os
import sys
from typing import Literal

LIBRARY = "libopenblas.so.0"

Outcome = Literal["loaded", "missing", "too late", "off", "not needed"]


def preload() -> Outcome:
    """Load OpenBLAS for MLX if this is Linux, MLX is not loaded yet and TURBOQUANT_OPENBLAS is not "off"."""
    if sys.platform != "linux":
        return "not needed"
    if os.environ.get("TURBOQUANT_OPENBLAS") == "off":
        return "off"
    if "mlx.core" in sys.modules:
        return "too late"
    try:
        ctypes.CDLL(LIBRARY, ctypes.RTLD_GLOBAL)
    except OSError:
        return "missing"
    return "loaded"


outcome: Outcome = preload()

ADVICE = (
    f"{LIBRARY} is not installed: matrix products on this CPU are about 30 times slower (Debian: libopenblas0-pthread)"
)
