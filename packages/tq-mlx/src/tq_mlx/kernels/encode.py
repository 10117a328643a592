"""Coding on a GPU: by the fused kernel if there is one for the case and it passed its trial, else by the reference."""

import math
from typing import Any, cast

import mlx.core as mx

from tq_core import Codec, ScalarCode
from tq_core.codec import LARGEST
from tq_mlx.kernels.asked import dialect, reference_asked
from tq_mlx.kernels.encoder import Encoder, encode
from tq_mlx.kernels.launch import Run, run_on
from tq_mlx.kernels.variant import NoKernelError
from tq_mlx.kernels.verdicts import passes, record_failure
from tq_mlx.means import Means

TOLERANCE = 1.01
"""Largest squared error of a trial, in units of the reference's: a wrong index costs many times that."""

TOKENS, BLOCK, GONE = 40, 16, 5


def encode_fused(codec: Codec[Any], x: mx.array, less: Means | None = None) -> ScalarCode | None:
    """Return the code of x [B, H, T, D], less some means, as ``codec.encode`` does; None where that is to do it.

    So it is where no kernel serves the case, and where vectors cannot be coded: the reference says why. Evaluates x.
    """
    language = dialect()
    if language is None or reference_asked() or not x.size:
        return None
    try:
        encoder = Encoder.of(codec, x.shape[-1], x.dtype, centred=less is not None)
    except NoKernelError:
        return None
    run = run_on(language)
    try:
        if not passes(encoder, lambda: fault_of(encoder, run)):
            return None
        code, peaks = encode(encoder, x, less, run)
        return code if codable(peaks).all().item() else None
    except Exception as error:  # whatever MLX or its compiler raises
        record_failure(encoder, f"{type(error).__name__}: {error}")
        return None


def codable(peaks: mx.array) -> mx.array:
    """Return which vectors have a code, by the largest magnitude of each."""
    return peaks <= LARGEST  # NaN compares false


def fault_of(encoder: Encoder, run: Run) -> str | None:
    """Return by how much the kernel codes worse than the reference, or None.

    Raises:
        Exception: whatever MLX or its compiler raises.
    """
    error = trial_error(encoder, run)
    return None if error <= TOLERANCE else f"in its trial its error was {error:.3g} of the reference's"


def trial_error(encoder: Encoder, run: Run) -> float:
    """Return the kernel's squared error over the reference's; infinite if it took NaN for a number, or one for NaN.

    The vectors lie as a model makes them, heads side by side; the last token is NaN.
    """
    draws = mx.random.split(mx.random.key(0))
    x = mx.random.normal((1, TOKENS + 1, 2, encoder.head_dim), key=draws[0])
    x = mx.where(mx.arange(TOKENS + 1)[:, None, None] < TOKENS, x, math.nan).astype(encoder.dtype).swapaxes(1, 2)
    less = Means(mx.random.normal((1, 2, 3, encoder.head_dim), key=draws[1]), BLOCK, GONE) if encoder.centred else None
    found, peaks = encode(encoder, x, less, run)
    vectors = x[..., :TOKENS, :].astype(mx.float32) - (less.of(0, TOKENS) if less else 0)
    codes = found.map(lambda array: array[..., :TOKENS, :]), encoder.codec.encode(vectors)
    ours, best = (mx.square(encoder.codec.decode(code) - vectors).sum() for code in codes)
    right = (codable(peaks)[..., 0] == (mx.arange(TOKENS + 1) < TOKENS)).all() & mx.isfinite(ours)
    return cast("float", mx.where(right, ours / best, math.inf).item())
