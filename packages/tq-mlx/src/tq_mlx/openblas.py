"""Faster matrix products on Linux CPUs.

MLX's Linux CPU build carries the reference BLAS, about 30 times slower than OpenBLAS. Where OpenBLAS's shared library
is present and loaded first, MLX's calls resolve to it; so this module must be imported before ``mlx.core``.
"""

import ctypes
import os
import sys
import warnings
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
        if computes_on_cpu() and not is_loaded():
            warnings.warn(TOO_LATE, RuntimeWarning, stacklevel=4)  # at the import of tq_mlx
        return "too late"
    try:
        ctypes.CDLL(LIBRARY, ctypes.RTLD_GLOBAL)
    except OSError:
        return "missing"
    return "loaded"


def computes_on_cpu() -> bool:
    """Return whether the MLX that is loaded already computes on the CPU."""
    mx = sys.modules["mlx.core"]
    return mx.default_device().type == mx.cpu


def is_loaded() -> bool:
    """Return whether somebody else has loaded the library."""
    try:
        ctypes.CDLL(LIBRARY, os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return False
    return True


TOO_LATE = (
    "MLX was imported before tq_mlx, which therefore could not give it OpenBLAS: matrix products on this CPU are about "
    "30 times slower; import tq_mlx first (TURBOQUANT_OPENBLAS=off silences this)"
)

outcome: Outcome = preload()

ADVICE = (
    f"{LIBRARY} is not installed: matrix products on this CPU are about 30 times slower (Debian: libopenblas0-pthread)"
)
