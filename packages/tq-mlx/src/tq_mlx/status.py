"""status: what was asked of a model's caches, and what is so."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlx_lm.models.cache import KVCache, RotatingKVCache

from tq_mlx.batch import BatchTurboQuantKVCache
from tq_mlx.cache_kinds import kind_of
from tq_mlx.compressed import CompressedCache
from tq_mlx.kernels.choose import NO_CODES, path_for
from tq_mlx.upstream import tokens_seen, used_bytes


@dataclass(frozen=True)
class LayerStatus:
    """One layer.

    Attributes:
        index: place in the cache list.
        requested: label of the configuration asked of the list, or "dense".
        realised: label of the configuration in force on this layer, or "dense".
        keys: codec of the keys, such as "mse 4", or "dense".
        values: codec of the values, or "dense".
        reason: why the two differ, or how much is coded.
        offset: tokens held; of a batch, in its longest row.
        nbytes: bytes allocated.
        dense_bytes: bytes that the same tokens take uncompressed, without growth capacity.
        bits_per_value: stored bits per value of the coded tokens; None where nothing is coded.
        codes_read: how often attention has read this layer's codes.
        attention: path that decode steps take over this layer, and why: fused, reference or dense.
        family: family of the contract under which the layer was admitted; None where it is dense or was constructed
            directly.
        research: that family is research-only: its user opted in.
    """

    index: int
    requested: str
    realised: str
    keys: str
    values: str
    reason: str
    offset: int
    nbytes: int
    dense_bytes: int
    bits_per_value: float | None
    codes_read: int
    attention: str
    family: str | None
    research: bool


@dataclass(frozen=True)
class CacheStatus:
    """All layers, and their sums."""

    layers: tuple[LayerStatus, ...]

    @property
    def nbytes(self) -> int:
        """Bytes allocated by all layers."""
        return sum(layer.nbytes for layer in self.layers)

    @property
    def dense_bytes(self) -> int:
        """Bytes that the same tokens take uncompressed."""
        return sum(layer.dense_bytes for layer in self.layers)

    @property
    def research(self) -> bool:
        """Whether any layer is compressed only because its user opted in to a research-only family."""
        return any(layer.research for layer in self.layers)

    @property
    def ratio(self) -> float:
        """Bytes allocated over dense bytes; 1 for an empty cache."""
        return self.nbytes / self.dense_bytes if self.dense_bytes else 1.0

    @property
    def bits_per_value(self) -> float | None:
        """Stored bits per value of the coded tokens, over all layers; None where nothing is coded."""
        coded = [layer for layer in self.layers if layer.bits_per_value is not None]
        weight = sum(layer.dense_bytes for layer in coded)
        return sum((layer.bits_per_value or 0.0) * layer.dense_bytes for layer in coded) / weight if weight else None

    def to_dict(self) -> dict[str, Any]:
        """Return every field and sum as JSON values."""
        sums = {
            "nbytes": self.nbytes,
            "dense_bytes": self.dense_bytes,
            "ratio": self.ratio,
            "bits_per_value": self.bits_per_value,
            "research": self.research,
        }
        return sums | {"layers": [asdict(layer) for layer in self.layers]}


def status(cache: Sequence[Any]) -> CacheStatus:
    """Return what is requested and realised on each layer of a model's cache list; reads no keys or values.

    A list that was never compressed has "dense" on every layer; bytes are those of the caches' own ``nbytes``.
    """
    labels = [layer.config.label for layer in cache if isinstance(layer, CompressedCache)]
    requested = labels[0] if labels else "dense"
    return CacheStatus(tuple(layer_status(index, layer, requested) for index, layer in enumerate(cache)))


def layer_status(index: int, cache: Any, requested: str) -> LayerStatus:
    if isinstance(cache, CompressedCache):
        return compressed_status(index, cache)
    return LayerStatus(
        index=index,
        requested=requested,
        realised="dense",
        keys="dense",
        values="dense",
        reason=dense_reason(cache, requested),
        offset=tokens_seen(cache),
        nbytes=cache.nbytes,
        dense_bytes=used_bytes(cache) if isinstance(cache, KVCache | RotatingKVCache) else cache.nbytes,
        bits_per_value=None,
        codes_read=0,
        attention="dense",
        family=None,
        research=False,
    )


def compressed_status(index: int, cache: CompressedCache) -> LayerStatus:
    memory = cache.memory()
    packed = memory["packed"]
    counts = ", ".join(f"{segment.tokens} {name}" for name, segment in memory.items())
    batched = isinstance(cache, BatchTurboQuantKVCache)
    rows = cache.rows if batched else [cache]
    longest = max(rows, key=lambda row: row.size())
    return LayerStatus(
        index=index,
        requested=cache.config.label,
        realised=cache.config.label,
        keys=cache.config.keys.label,
        values=cache.config.values.label,
        reason=f"{len(rows)} rows; tokens: {counts}" if batched else f"tokens: {counts}",
        offset=tokens_seen(cache),
        nbytes=cache.nbytes,
        dense_bytes=sum(row.layout.dense_bytes_per_token * row.size() for row in rows if row.layout),
        bits_per_value=packed.bits_per_value if packed.tokens else None,
        codes_read=sum(row.reads.count for row in rows),
        attention=str(path_for(*longest.keys_and_values()) if longest.layout else NO_CODES),
        family=cache.admission.family if cache.admission else None,
        research=cache.admission is not None and cache.admission.research,
    )


def dense_reason(cache: Any, requested: str) -> str:
    if requested == "dense":
        return "compression was not asked for"
    kind = kind_of(cache)
    # A layer that could be compressed beside one that is: an upgrade that failed in its midst, which may be repeated.
    return "not compressed yet" if kind.outcome == "compressed" else kind.reason
