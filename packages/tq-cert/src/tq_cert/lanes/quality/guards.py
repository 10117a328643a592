"""What may not be reported: a method whose codes were not read, or whose numbers are no numbers."""

import math
from collections.abc import Sequence
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
from mlx_lm.models.cache import QuantizedKVCache

from tq_cert.lanes.errors import CodesNotReadError, NonFiniteDivergenceError
from tq_mlx.compressed import CompressedCache


def compressed_layers(caches: Sequence[Any]) -> int:
    """Layers whose cache is of a compressed kind."""
    return sum(isinstance(cache, CompressedCache | QuantizedKVCache) for cache in caches)


def check_finite(method: str, kl: Sequence[float], start: int) -> None:
    """Raise NonFiniteDivergenceError at the first position (counted from `start`) without a number."""
    for position, value in enumerate(kl, start=start):
        if not math.isfinite(value):
            raise NonFiniteDivergenceError(method, position)


def check_codes_were_read(method: str, caches: list[Any], kl: Sequence[float]) -> None:
    """Raise CodesNotReadError unless a compressed method's window shows that attention read the codes of each layer.

    A KL of exactly zero at every position is what a silent dense fallback looks like.
    """
    if not any(kl):
        raise CodesNotReadError(method, f"its KL is exactly zero at all {len(kl)} positions")
    if not compressed_layers(caches):
        raise CodesNotReadError(method, "no layer's cache is compressed")
    layers = tq_mlx.status(caches).layers
    unread = [
        layer.index
        for layer, cache in zip(layers, caches, strict=True)
        if isinstance(cache, CompressedCache) and not layer.codes_read
    ]
    if unread:
        raise CodesNotReadError(method, f"attention never read the codes of layers {unread}")
    short = [i for i, cache in enumerate(caches) if isinstance(cache, QuantizedKVCache) and cache.offset != len(kl)]
    if short:
        raise CodesNotReadError(method, f"the quantized caches of layers {short} do not hold the window's tokens")
