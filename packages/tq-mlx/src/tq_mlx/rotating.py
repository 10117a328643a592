"""TurboQuantRotatingKVCache: a sliding-window layer's keys and values, the older ones as codes.

It stands for ``mlx_lm.models.cache.RotatingKVCache`` with keep=0: each new token attends to the newest ``window``
tokens, itself included. What lies before the window is dropped from the front in whole blocks, so that less than a
block more than the window is held; the order is that of time. The sequence's first tokens stay dense as a sink for as
long as they are held, and then there is no sink any more.
"""

from collections.abc import Mapping
from typing import Any, Self

import mlx.core as mx
from mlx_lm.models.base import create_causal_mask

from tq_mlx.admission import Admission
from tq_mlx.cache import Layout, SegmentMemory, TurboQuantKVCache
from tq_mlx.config import TurboQuantConfig
from tq_mlx.state_check import check_window_state
from tq_mlx.views import CodeReads, TurboQuantKeysView, TurboQuantValuesView


class TurboQuantRotatingKVCache:
    """A compressed drop-in for ``mlx_lm.models.cache.RotatingKVCache`` with keep=0.

    It has no batched form: mlx-lm's server looks for ``merge``, finds none and serves one request at a time.

    Attributes:
        window: tokens that a token attends to at most, itself included.
        held: the tokens that are still there.
        dropped: tokens before those.
        attended: tokens that the last update handed to attention.
    """

    def __init__(self, config: TurboQuantConfig, window: int, admission: Admission | None = None) -> None:
        self.window = window
        self.held = TurboQuantKVCache(config, admission)
        self.dropped = 0
        self.attended = 0

    @property
    def config(self) -> TurboQuantConfig:
        """The configuration in force."""
        return self.held.config

    @property
    def admission(self) -> Admission | None:
        """Under which family the support gate let the cache in; None where it was constructed directly."""
        return self.held.admission

    @property
    def layout(self) -> Layout | None:
        """What every token has in common; None while there was none."""
        return self.held.layout

    @property
    def reads(self) -> CodeReads:
        """Counts how often attention read the codes."""
        return self.held.reads

    @property
    def offset(self) -> int:
        """Tokens seen so far: the position of the next one."""
        return self.dropped + self.held.offset

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[TurboQuantKeysView, TurboQuantValuesView]:
        """Append keys [B, H, L, Dk] and values [B, H, L, Dv]; return views of them and the window - 1 tokens before.

        Raises what TurboQuantKVCache.update_and_fetch raises; every token that can still be attended to is kept then.
        """
        self.held.check(keys, values)
        # Only now: until here a layer that shares these keys may have asked for what the last update handed out.
        self.drop_expired()
        self.held.compress_overflow()
        before = self.reachable
        self.append(keys, values)
        if not self.config.tail_tokens:
            self.held.compress_overflow()
        self.attended = before + keys.shape[-2]
        return self.keys_and_values()

    def keys_and_values(self) -> tuple[TurboQuantKeysView, TurboQuantValuesView]:
        """Return views of the tokens that the last update handed to attention, less those trimmed since."""
        keys, values = self.held.keys_and_values()
        return keys.newest(self.attended), values.newest(self.attended)

    def load_history(self, keys: mx.array, values: mx.array, offset: int) -> None:
        """Take over the newest tokens [B, H, T, D] of ``offset`` in all into an empty cache; finite, in time order."""
        self.dropped = offset - keys.shape[-2]
        self.append(keys, values)
        self.attended = min(self.window, keys.shape[-2])
        self.drop_expired()
        self.held.compress_overflow()

    def append(self, keys: mx.array, values: mx.array) -> None:
        """Add tokens behind those held; once the first ones are gone, there is no sink for others to fill."""
        if not self.dropped:
            self.held.append(keys, values)
            return
        self.held.layout = Layout.of(keys, values)
        self.held.tail.append(keys, values)

    @property
    def reachable(self) -> int:
        """Held tokens that the next one will attend to."""
        return min(self.window - 1, self.held.offset)

    def drop_expired(self) -> None:
        """Forget the tokens that no later one can attend to, in whole blocks."""
        block = self.config.block_tokens
        expired = (self.held.offset - self.reachable) // block * block
        if expired:
            self.held.drop_front(expired)
            self.dropped += expired

    def make_mask(self, N: int, window_size: int | None = None, return_array: bool = False) -> Any:  # noqa: N803
        """Return the mask that N new tokens need, over what update_and_fetch will return."""
        before = self.reachable
        window = window_size or self.window
        if N == 1:
            return mx.arange(before, -1, -1) < window if before >= window else None
        if before + N > window or return_array:
            return create_causal_mask(N, before, window_size=window)
        return "causal"

    def size(self) -> int:
        """Return the tokens of the window."""
        return min(self.window, self.held.offset)

    def empty(self) -> bool:
        """Return whether nothing was ever stored."""
        return self.held.empty()

    def is_trimmable(self) -> bool:
        """Return whether nothing has left the window: what was dropped cannot come back to fill it."""
        return self.offset < self.window

    def trim(self, n: int) -> int:
        """Forget the newest n tokens, or as many as are held; return how many."""
        n = self.held.trim(n)
        self.attended = max(self.attended - n, self.size())
        return n

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays that the cache holds, growth capacity included."""
        return self.held.nbytes

    def memory(self) -> dict[str, SegmentMemory]:
        """Return what the sink, packed and tail segments hold and cost."""
        return self.held.memory()

    @property
    def state(self) -> dict[str, Any]:
        """Everything that the cache is, as a tree of arrays and scalars: what ``from_state`` takes."""
        return {
            "window": self.window,
            "dropped": self.dropped,
            "attended": self.attended,
            "held": self.held.state,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the cache that ``state`` described; ``check_window_state`` says which errors a wrong one raises."""
        config = check_window_state(state)
        cache = cls(config, state["window"])
        cache.held = TurboQuantKVCache.from_checked(state["held"], config)
        cache.dropped, cache.attended = state["dropped"], state["attended"]
        return cache
