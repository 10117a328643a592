"""TurboQuantKVCache: one layer's keys and values in three segments, speaking mlx-lm's cache protocol.

    [0, sink)         dense: the first tokens, which attention leans on
    [sink, packed)    codes
    [packed, offset)  dense: the newest tokens, coded a block at a time when the tail outgrows its limit

The dense form of the whole history never exists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any, Self

import mlx.core as mx
from mlx_lm.models.cache import create_attention_mask

from tq_core.codec import check_finite
from tq_mlx.admission import Admission
from tq_mlx.centring import Centre
from tq_mlx.config import TurboQuantConfig
from tq_mlx.errors import UnsupportedCacheError
from tq_mlx.segments import DenseSegment, PackedSegment
from tq_mlx.state_check import SCHEMA_VERSION, check_state
from tq_mlx.token_chunks import encode_chunks
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
        bits_per_value: stored bits per value of a live token, keys and values together, the means of blocks
            included (0 without tokens).
    """

    tokens: int
    nbytes: int
    bits_per_value: float


class TurboQuantKVCache:
    """A compressed drop-in for ``mlx_lm.models.cache.KVCache``.

    Constructing one directly is for evaluation: it skips the support gate of ``upgrade_cache_list``, which says in
    ``admission`` under which family it let the cache in.
    """

    def __init__(self, config: TurboQuantConfig, admission: Admission | None = None) -> None:
        self.config = config
        self.admission = admission
        self.layout: Layout | None = None
        self.sink = DenseSegment(step=max(1, config.sink_tokens))
        self.packed = PackedSegment()
        self.tail = DenseSegment(step=config.block_tokens)
        self.centre: Centre | None = None  # from the first compression on
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
        self.make_ready(keys, values)
        return self.take(keys, values)

    def make_ready(self, keys: mx.array, values: mx.array) -> None:
        """Do all of an update that can fail; the history stays what it was."""
        self.check(keys, values)
        # What earlier steps left over is coded first: it was computed long ago, so its check for NaN waits for nothing.
        self.compress_overflow()

    def take(self, keys: mx.array, values: mx.array) -> tuple[TurboQuantKeysView, TurboQuantValuesView]:
        """Append tokens for which the cache is ready and return views of the whole history."""
        self.append(keys, values)
        if not self.config.tail_tokens:
            self.compress_overflow()
        views = self.keys_and_values()
        # A short block may be drafts, some of which are trimmed away at once: what stays is coded one update later.
        if keys.shape[-2] > self.config.block_tokens:
            self.compress_overflow()
        return views

    def keys_and_values(self) -> tuple[TurboQuantKeysView, TurboQuantValuesView]:
        """Return views of the history as it is now."""
        if self.layout is None:
            raise UnsupportedCacheError("the cache is empty: it has no keys and values before its first update")
        layout, length = self.layout, self.offset
        sink, tail, (keys, values) = self.sink.shared(), self.tail.shared(), self.packed.shared()
        return (
            TurboQuantKeysView(
                shape=(layout.batch, layout.heads, length, layout.key_dim),
                dtype=layout.dtype,
                sink=sink[0],
                code=keys,
                packed=self.packed.length,
                codec=self.config.keys,
                centre=self.centre,
                tail=tail[0],
                reads=self.reads,
            ),
            TurboQuantValuesView(
                shape=(layout.batch, layout.heads, length, layout.value_dim),
                dtype=layout.dtype,
                sink=sink[1],
                code=values,
                packed=self.packed.length,
                codec=self.config.values,
                centre=None,
                tail=tail[1],
                reads=self.reads,
            ),
        )

    def load_history(self, keys: mx.array, values: mx.array) -> None:
        """Take over a finite dense history [B, H, T, D] into an empty cache and code what exceeds the tail.

        The cache ends up as if the tokens had come by ``update_and_fetch``, without a dense copy of them on the way.
        """
        self.layout = Layout.of(keys, values)
        start = min(self.config.sink_tokens, keys.shape[-2])
        stop = start + self.overflow(keys.shape[-2] - start)
        if start:
            self.sink.append(keys[..., :start, :], values[..., :start, :])
        if stop > start:
            self.pack(keys[..., start:stop, :], values[..., start:stop, :], seen=keys[..., start:, :])
        if stop < keys.shape[-2]:
            self.tail.append(keys[..., stop:, :], values[..., stop:, :])

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
        # Without codes nothing depends on the centre: the next first compression takes that of its own keys.
        self.centre = self.centre.truncated(packed) if self.centre and packed else None
        return n

    def drop_front(self, n: int) -> None:
        """Forget the oldest n tokens, of the sink and the codes first; for windows that move."""
        packed = min(self.packed.length, max(0, n - self.sink.length))
        self.centre = self.centre and self.centre.without_first(packed)
        for segment in (self.sink, self.packed, self.tail):
            gone = min(segment.length, n)
            if gone:
                segment.drop_front(gone)
            n -= gone

    def snapshot(self) -> Self:
        """Return a cache of the same history, which shares its arrays until either is fed."""
        twin = type(self)(self.config, self.admission)
        twin.layout, twin.centre, twin.reads = self.layout, self.centre, replace(self.reads)
        twin.sink, twin.packed, twin.tail = self.sink.snapshot(), self.packed.snapshot(), self.tail.snapshot()
        return twin

    @staticmethod
    def merge(caches: Sequence[Any]) -> Any:
        """Return a BatchTurboQuantKVCache of caches of one sequence each; see there."""
        from tq_mlx.batch import BatchTurboQuantKVCache  # a batch is made of caches: it comes after them

        return BatchTurboQuantKVCache.merge(caches)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays that the cache holds, growth capacity included."""
        centre = self.centre.nbytes if self.centre else 0
        return self.sink.nbytes + self.packed.nbytes + self.tail.nbytes + centre

    def memory(self) -> dict[str, SegmentMemory]:
        """Return what the sink, packed and tail segments hold and cost."""
        if self.layout is None:
            return {name: SegmentMemory(0, 0, 0.0) for name in ("sink", "packed", "tail")}
        layout, dense_bits = self.layout, 8.0 * self.layout.dtype.size
        means = 1 / self.config.center_block if self.config.center_block else 0  # each block's is coded like a key
        coded_bits = layout.key_dim * self.config.keys.bits_per_value(layout.key_dim) * (1 + means)
        coded_bits += layout.value_dim * self.config.values.bits_per_value(layout.value_dim)
        bits = {"sink": dense_bits, "packed": coded_bits / (layout.key_dim + layout.value_dim), "tail": dense_bits}
        segments = {"sink": self.sink, "packed": self.packed, "tail": self.tail}
        return {n: SegmentMemory(s.length, s.nbytes, bits[n] if s.length else 0.0) for n, s in segments.items()}

    @property
    def state(self) -> dict[str, Any]:
        """Everything that the cache is, as a tree of arrays and scalars: what ``from_state`` takes."""
        layout, packed, centre = self.layout, self.packed, self.centre
        return {
            "schema_version": SCHEMA_VERSION,
            "config": self.config.to_json(),
            "admission": self.admission and asdict(self.admission),
            "layout": layout and list(astuple(layout)),
            "lengths": [self.sink.length, packed.length, self.tail.length],
            "sink": [self.sink.keys, self.sink.values],
            "packed": [packed.keys and packed.keys.arrays(), packed.values and packed.values.arrays()],
            "tail": [self.tail.keys, self.tail.values],
            "mean": centre and centre.mean,
            "deviations": centre and centre.deviations and centre.deviations.arrays(),
            "gone": centre.gone if centre else 0,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the cache that ``state`` described; ``check_state`` says which errors a wrong one raises."""
        return cls.from_checked(state, check_state(state))

    @classmethod
    def from_checked(cls, state: Mapping[str, Any], config: TurboQuantConfig) -> Self:
        """Return the cache of a state that was checked, and found to be of that configuration."""
        admission = state["admission"]
        cache = cls(config, admission and Admission(**admission))
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
        if state["mean"] is not None:
            deviations = state["deviations"] and cache.config.keys.code_from(layout.key_dim, state["deviations"])
            cache.centre = Centre(
                cache.config.keys, cache.config.center_block, state["mean"], deviations, state["gone"]
            )
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
        live, count = self.tail.live(), self.overflow(self.tail.length)
        if live is None or not count:
            return
        keys, values = live
        self.pack(keys[..., :count, :], values[..., :count, :], seen=keys)
        self.tail.drop_front(count)

    def overflow(self, tail: int) -> int:
        """Return how many of the oldest of that many tail tokens are to be coded."""
        return max(0, (tail - self.config.tail_tokens) // self.config.block_tokens) * self.config.block_tokens

    def pack(self, keys: mx.array, values: mx.array, *, seen: mx.array) -> None:
        """Code tokens behind the packed ones; ``seen`` are their keys and those that follow: the sink stays out."""
        centre = self.next_centre(seen, keys.shape[-2])
        less = None if centre is None else centre.means(self.packed.length, keys.shape[-2])
        # Both codes exist before anything moves: an error leaves the cache as it was.
        key_code = encode_chunks(self.config.keys, keys, less)
        value_code = encode_chunks(self.config.values, values)
        self.centre = centre
        self.packed.append(key_code, value_code)

    def next_centre(self, seen: mx.array, count: int) -> Centre | None:
        """Return the centre of the ``count`` tokens that are coded next, the first of the keys ``seen``."""
        if not self.config.center_keys:
            return None
        centre = self.centre or Centre.of(seen, self.config.keys, self.config.center_block)
        return centre.reaching(seen, self.packed.length, count)
