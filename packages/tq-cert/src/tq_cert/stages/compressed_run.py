"""One model run as generation does it: an upgrade behind a prefill, decode steps; and what the caches say of it."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx_lm.models.cache import KVCache

from tq_cert.lanes.prefill import Caches
from tq_mlx.compressed import CompressedCache


@dataclass(frozen=True)
class Decoded:
    """What decode steps gave.

    Attributes:
        logits: of the last position after each step [steps, V], float32.
        tokens: fed at each step.
    """

    logits: mx.array
    tokens: tuple[int, ...]

    @property
    def non_finite(self) -> int:
        """Logits that are NaN or infinite."""
        return cast("int", mx.logical_not(mx.isfinite(self.logits)).sum().item())


def upgraded(caches: Caches, preset: str, family: str) -> Caches:
    """A copy of dense caches, compressed through the support gate."""
    own = copy.deepcopy(caches)
    tq_mlx.upgrade_cache_list(own, config=tq_mlx.TurboQuantConfig.from_preset(preset), model_family=family)
    mx.eval([cache.state for cache in own])
    return own


def decode(model: Any, caches: Caches, first: int, steps: int) -> Decoded:
    """Decode greedily from a token on."""
    rows: list[mx.array] = []
    tokens: list[int] = []
    for _ in range(steps):
        tokens.append(first)
        row = model(mx.array([[first]]), cache=caches)[0, -1].astype(mx.float32)
        first = cast("int", mx.argmax(row).item())
        rows.append(row)
    return Decoded(mx.stack(rows), tuple(tokens))


def follow(model: Any, caches: Caches, tokens: Sequence[int]) -> mx.array:
    """The logits [n, V] in float32 of one step after the other with given tokens."""
    rows = [model(mx.array([[token]]), cache=caches)[0, -1].astype(mx.float32) for token in tokens]
    mx.eval(rows)
    return mx.stack(rows)


def to_compress(caches: Caches) -> tuple[int, ...]:
    """Layers that have to be compressed: all that keep their whole history."""
    return tuple(index for index, cache in enumerate(caches) if isinstance(cache, KVCache))


def not_read(caches: Caches, layers: Sequence[int], steps: int) -> int:
    """How many of the layers are dense, hold no codes, or had them read fewer times than there were steps."""
    status = tq_mlx.status(caches).layers
    return sum(
        not isinstance(caches[index], CompressedCache)
        or not caches[index].packed.length
        or status[index].codes_read < steps
        for index in layers
    )
