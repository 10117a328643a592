"""TurboQuantKVCache: one layer's keys and values in three segments, speaking mlx-lm's cache protocol.

    [0, sink)         dense: the first tokens, which attention leans on
    [sink, packed)    codes
    [packed, offset)  dense: the newest tokens, coded a block at a time when the tail outgrows its limit

The dense form of the whole history never exists.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, Self

import mlx.core as mx
from mlx_lm.models.cache import create_attention_mask

from tq_core.codec import Code, check_finite
from tq_mlx.config import TurboQuantConfig
from tq_mlx.errors import UnsupportedCacheError
from tq_mlx.segments import DenseSegment, PackedSegment, handle
from tq_mlx.state_check import SCHEMA_VERSION, check_state
from tq_mlx.views import CodeReads, TurboQuantKeysView, TurboQuantValuesView


@dataclass(frozen=True)
class Layout:
    """What every token of a cache has in common."""

    batch: int
    heads: int
    key_dim: int
    value_dim: int
    dtype_name: str

    @classmethod
    def of(cls, keys: mx.array, values: mx.array) -> Self:
        """Return the layout of keys [B, H, L, Dk] and values [B, H, L, Dv]."""
        return cls(
            keys.shape[0], keys.shape[1], keys.shape[3], values.shape[3], str(keys.dtype).removeprefix("mlx.core.")
        )

    @property
    def dtype(self) -> mx.Dtype:
        """Dtype of the keys and values that the model makes."""
        return getattr(mx, self.dtype_name)

    @property
    def dense_bytes_per_token(self) -> int:
        """Bytes that one token takes in mlx-lm's own cache, over all rows and heads."""
        return self.batch * self.heads * (self.key_dim + self.value_dim) * self.dtype.size


@dataclass(frozen=True)
class SegmentMemory:
    """What one segment holds and costs.

    Attributes:
        tokens: live tokens.
        nbytes: allocated bytes, growth capacity included.
        bits_per_value: stored bits per value of a live token, keys and values together (0 without tokens).
    """

    tokens: int
    nbytes: int
    bits_per_value: float


class TurboQuantKVCache:
    """A compressed drop-in for ``mlx_lm.models.cache.KVCache``.

    Constructing one directly is for evaluation: it skips the support gate of ``upgrade_cache_list``.
    """

    def __init__(self, config: TurboQuantConfig) -> None:
        self.config = config
        self.layout: Layout | None = None
        self.sink = DenseSegment(step=max(1, config.sink_tokens))
        self.packed = PackedSegment()
        self.tail = DenseSegment(step=config.block_tokens)
        self.mean: mx.array | None = None  # [B, H, 1, Dk] float32, frozen at the first compression
        self.reads = CodeReads()

    @property
    def offset(self) -> int:
        """Tokens seen so far: the position of the next one."""
        return self.sink.length + self.packed.length + self.tail.length

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[TurboQuantKeysView, TurboQuantValuesView]:
        """Append keys [B, H, L, Dk] and values [B, H, L, Dv] and return views of the whole history.

        Raises:
            NonFiniteError: tokens about to be coded, or any of a block of several tokens, hold NaN or Inf.
            UnsupportedHeadDimError: the codecs do not serve the head dimension.
            UnsupportedCacheError: the tokens do not fit those before them.
        The cache is unchanged then.
        """
        self.check(keys, values)
        # What earlier steps left over is coded first: it was computed long ago, so its check for NaN waits for nothing.
        self.compress_overflow()
        self.append(keys, values)
        if not self.config.tail_tokens:
            self.compress_overflow()
        views = self.keys_and_values()
        if keys.shape[-2] > 1:
            self.compress_overflow()
        return views

    def keys_and_values(self) -> tuple[TurboQuantKeysView, TurboQuantValuesView]:
        """Return views of the history as it is now."""
        if self.layout is None:
            raise UnsupportedCacheError("the cache is empty: it has no keys and values before its first update")
        layout, length = self.layout, self.offset
        sink, tail = self.sink.live() or (None, None), self.tail.live() or (None, None)
        keys, values = self.packed.keys, self.packed.values
        return (
            TurboQuantKeysView(
                shape=(layout.batch, layout.heads, length, layout.key_dim),
                dtype=layout.dtype,
                sink=sink[0],
                code=keys.map(handle) if keys else None,
                packed=self.packed.length,
                codec=self.config.keys,
                mean=self.mean,
                tail=tail[0],
                reads=self.reads,
            ),
            TurboQuantValuesView(
                shape=(layout.batch, layout.heads, length, layout.value_dim),
                dtype=layout.dtype,
                sink=sink[1],
                code=values.map(handle) if values else None,
                packed=self.packed.length,
                codec=self.config.values,
                mean=None,
                tail=tail[1],
                reads=self.reads,
            ),
        )

    def load_history(self, keys: mx.array, values: mx.array) -> None:
        """Take over a finite dense history [B, H, T, D] into an empty cache and code what exceeds the tail."""
        self.append(keys, values)
        self.compress_overflow()

    def make_mask(self, N: int, return_array: bool = False, window_size: int | None = None) -> Any:  # noqa: N803
        """Return the mask that N new tokens need, as mlx-lm's KVCache would."""
        return create_attention_mask(N, offset=self.offset, return_array=return_array, window_size=window_size)

    def size(self) -> int:
        """Return the tokens held."""
        return self.offset

    def empty(self) -> bool:
        """Return whether nothing was ever stored."""
        return self.layout is None

    def is_trimmable(self) -> bool:
        """Return True: tokens can be forgotten from the end across all segments."""
        return True

    def trim(self, n: int) -> int:
        """Forget the newest n tokens, or as many as there are; return how many."""
        n = min(self.offset, n)
        left = self.offset - n
        sink = min(self.sink.length, left)
        packed = min(self.packed.length, left - sink)
        self.tail.truncate(left - sink - packed)
        self.packed.truncate(packed)
        self.sink.truncate(sink)
        return n

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays that the cache holds, growth capacity included."""
        mean = 0 if self.mean is None else self.mean.nbytes
        return self.sink.nbytes + self.packed.nbytes + self.tail.nbytes + mean

    def memory(self) -> dict[str, SegmentMemory]:
        """Return what the sink, packed and tail segments hold and cost."""
        if self.layout is None:
            return {name: SegmentMemory(0, 0, 0.0) for name in ("sink", "packed", "tail")}
        layout, dense_bits = self.layout, 8.0 * self.layout.dtype.size
        coded_bits = layout.key_dim * self.config.keys.bits_per_value(layout.key_dim)
        coded_bits += layout.value_dim * self.config.values.bits_per_value(layout.value_dim)
        bits = {"sink": dense_bits, "packed": coded_bits / (layout.key_dim + layout.value_dim), "tail": dense_bits}
        segments = {"sink": self.sink, "packed": self.packed, "tail": self.tail}
        return {n: SegmentMemory(s.length, s.nbytes, bits[n] if s.length else 0.0) for n, s in segments.items()}

    @property
    def state(self) -> dict[str, Any]:
        """Everything that the cache is, as a tree of arrays and scalars: what ``from_state`` takes."""
        layout, packed = self.layout, self.packed
        return {
            "schema_version": SCHEMA_VERSION,
            "config": self.config.to_json(),
            "layout": layout and list(astuple(layout)),
            "lengths": [self.sink.length, packed.length, self.tail.length],
            "sink": [self.sink.keys, self.sink.values],
            "packed": [packed.keys and packed.keys.arrays(), packed.values and packed.values.arrays()],
            "tail": [self.tail.keys, self.tail.values],
            "mean": self.mean,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the cache that ``state`` described; ``check_state`` says which errors a wrong one raises."""
        cache = cls(check_state(state))
        if state["layout"] is None:
            return cache
        layout = cache.layout = Layout(*state["layout"])
        sink, packed, tail = state["lengths"]
        cache.sink = DenseSegment(cache.sink.step, state["sink"][0], state["sink"][1], sink)
        cache.tail = DenseSegment(cache.tail.step, state["tail"][0], state["tail"][1], tail)
        keys, values = state["packed"]
        cache.packed = PackedSegment(
            keys and cache.config.keys.code_from(layout.key_dim, keys),
            values and cache.config.values.code_from(layout.value_dim, values),
            packed,
        )
        cache.mean = state["mean"]
        return cache

    def check(self, keys: mx.array, values: mx.array) -> None:
        """Raise a typed error unless these tokens can be appended."""
        layout = Layout.of(keys, values)
        if self.layout is None:
            self.config.keys.check(layout.key_dim)
            self.config.values.check(layout.value_dim)
        elif self.layout != layout:
            raise UnsupportedCacheError(f"tokens of {layout} do not fit a cache of {self.layout}: use a new cache")
        if keys.shape[-2] > 1 or not self.config.tail_tokens:
            check_finite(keys)
            check_finite(values)

    def append(self, keys: mx.array, values: mx.array) -> None:
        """Add tokens: to the sink until it is full, then to the tail."""
        self.layout = self.layout or Layout.of(keys, values)
        count, room = keys.shape[-2], 0
        if not self.packed.length and not self.tail.length:
            room = min(self.config.sink_tokens - self.sink.length, count)
        if room:
            self.sink.append(keys[..., :room, :], values[..., :room, :])
        if room < count:
            self.tail.append(keys[..., room:, :], values[..., room:, :])

    def compress_overflow(self) -> None:
        """Code the oldest tail tokens, in whole blocks, until less than a block exceeds ``tail_tokens``."""
        blocks = (self.tail.length - self.config.tail_tokens) // self.config.block_tokens
        oldest = self.tail.live(blocks * self.config.block_tokens) if blocks > 0 else None
        if oldest is None:
            return
        keys, values = oldest
        mean = self.mean
        if self.config.center_keys:
            mean = mean_key(self.tail) if mean is None else mean
            keys = keys.astype(mx.float32) - mean
        # Both codes exist before anything moves: an error leaves the cache as it was.
        key_code: Code = self.config.keys.encode(keys)
        value_code: Code = self.config.values.encode(values)
        self.mean = mean
        self.packed.append(key_code, value_code)
        self.tail.drop_front(keys.shape[-2])


def mean_key(tail: DenseSegment) -> mx.array:
    """Return the mean [B, H, 1, Dk] (float32) of the tail's keys; the sink's lie far from the rest and stay out."""
    live = tail.live()
    if live is None:
        raise ValueError("an empty tail has no mean key")
    return live[0].astype(mx.float32).mean(axis=-2, keepdims=True)
