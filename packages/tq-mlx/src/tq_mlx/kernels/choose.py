"""Which path attention takes: the fused kernel where there is one for the case and a GPU to run it, else the reference.

A kernel that fails, here or in its trial, is not used again in this process; attention goes on by the reference, never
by a dense copy of the history.
"""

from dataclasses import dataclass

import mlx.core as mx

from tq_mlx.kernels.asked import dialect, reference_asked
from tq_mlx.kernels.fused import fused_attention
from tq_mlx.kernels.launch import run_on
from tq_mlx.kernels.source_text import Dialect
from tq_mlx.kernels.trial import fault_of
from tq_mlx.kernels.variant import NoKernelError, Variant
from tq_mlx.kernels.verdicts import failure_of, passes, record_failure
from tq_mlx.kernels.work import TUNING
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView

MOST_NEW_TOKENS = 8
"""Queries at a time that the fused kernel takes; longer blocks are prefill, which the reference does in pieces."""


@dataclass(frozen=True)
class Path:
    """What attention does, and why.

    Attributes:
        variant: the fused kernel; None for the reference.
        reason: in a few words.
        language: of the kernel.
    """

    variant: Variant | None
    reason: str
    language: Dialect | None = None

    def __str__(self) -> str:
        return f"{'fused' if self.variant else 'reference'}: {self.reason}"


NO_CODES = Path(None, "nothing is coded yet")


def path_for(keys: TurboQuantKeysView, values: TurboQuantValuesView) -> Path:
    """Return the path of decode steps over these: what ``status`` reports."""
    if reference_asked():
        return Path(None, "asked for")
    language = dialect()
    if language is None:
        return Path(None, "MLX runs on the CPU")
    if not keys.packed:
        return NO_CODES
    path = served(keys, values, language)
    failure = path.variant and failure_of(path.variant)
    return Path(None, f"the kernel failed: {failure.reason}") if failure else path


known: dict[tuple[object, ...], tuple[Path, object]] = {}
"""What ``served`` found by the identity of the codecs, which are kept: hashing them takes longer than all the rest."""


def served(keys: TurboQuantKeysView, values: TurboQuantValuesView, language: Dialect) -> Path:
    """Return the path for such views where no kernel has failed."""
    centre = keys.centre
    block = centre.block if centre and centre.deviations else None
    head_dims, codecs = (keys.shape[3], values.shape[3]), (keys.codec, values.codec)
    key = (id(codecs[0]), id(codecs[1]), head_dims, block, keys.dtype, language)
    if key not in known:
        try:
            path = Path(Variant.of(*codecs, head_dims, block, keys.dtype), language, language)
        except NoKernelError as error:
            path = Path(None, f"no kernel for {error}")
        known[key] = path, codecs
    return known[key][0]


def attend_fused(
    queries: mx.array,
    keys: TurboQuantKeysView,
    values: TurboQuantValuesView,
    *,
    scale: float,
    mask: mx.array | str | None,
    sinks: mx.array | None,
    softcap: float | None,
) -> mx.array | None:
    """Return what ``streaming_attention`` returns, by the fused kernel; None where the reference is to do it."""
    shape = queries.shape
    length = shape[2]
    if length > MOST_NEW_TOKENS or sinks is not None or softcap is not None:
        return None
    if mask is not None and (not isinstance(mask, str) or mask != "causal"):
        return None
    path = path_for(keys, values)
    variant, language = path.variant, path.language
    if variant is None or language is None or not fit(shape, keys.shape) or queries.dtype != keys.dtype:
        return None
    run, tuning = run_on(language), TUNING[language]
    try:
        if not passes(variant, lambda: fault_of(variant, keys.codec, values.codec, run, tuning)):
            return None
        causal = mask == "causal" and length > 1
        return fused_attention(variant, queries, keys, values, scale=scale, causal=causal, run=run, tuning=tuning)
    except Exception as error:  # whatever MLX or its compiler raises
        record_failure(variant, f"{type(error).__name__}: {error}")
        return None


def fit(queries: tuple[int, ...], keys: tuple[int, ...]) -> bool:
    """Return whether queries [B, Hq, L, D] meet keys [B, Hk, T, D]; the reference says what does not fit."""
    return queries[0] == keys[0] and queries[3] == keys[3] and not queries[1] % keys[1]
