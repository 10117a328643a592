"""BatchTurboQuantKVCache: one layer's caches of several sequences, speaking mlx-lm's batched cache protocol.

Each row is a cache of its own, with its own length, centre and codes, and no padding: merging, filtering, extending and
extracting hand rows over and copy no codes. What the caller pads is dropped on the way in. Masks have the columns of
mlx-lm's batched cache, in which every row ends at the same one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import mlx.core as mx
from mlx_lm.models.base import create_causal_mask

from tq_mlx.admission import Admission
from tq_mlx.batch_views import BatchKeysView, BatchValuesView, Run
from tq_mlx.cache import SegmentMemory, TurboQuantKVCache
from tq_mlx.config import TurboQuantConfig
from tq_mlx.errors import UnsupportedCacheError
from tq_mlx.state_check import check_batch_state

ALIKE = "compress the caches of all prompts of a batch, or of none"


class BatchTurboQuantKVCache:
    """Compressed rows side by side.

    Attributes:
        rows: one cache per sequence.
        skip: per row, tokens of padding that come before its next token.
        left: per row, tokens that it takes before what comes is padding; None where all are taken.
    """

    def __init__(self, rows: Sequence[TurboQuantKVCache]) -> None:
        self.rows = list(rows)
        self.skip = [0] * len(self.rows)
        self.left: list[int] | None = None

    @classmethod
    def merge(cls, caches: Sequence[Any]) -> Self:
        """Return a batch of caches of one sequence each, which stay as they are.

        Raises:
            UnsupportedCacheError: a cache is not compressed, or holds a batch already.
        """
        for index, cache in enumerate(caches):
            if not isinstance(cache, TurboQuantKVCache):
                raise UnsupportedCacheError(f"row {index} is a {type(cache).__name__}, not a compressed cache: {ALIKE}")
            if cache.layout and cache.layout.batch != 1:
                raise UnsupportedCacheError(f"row {index} holds {cache.layout.batch} sequences: merge caches of one")
        return cls([cache.snapshot() for cache in caches])

    @property
    def offset(self) -> mx.array:
        """Each row's position of the next token that is fed, padding counted below zero: [B] int32."""
        return mx.array([row.offset - skip for row, skip in zip(self.rows, self.skip, strict=True)])

    def prepare(
        self,
        *,
        left_padding: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        right_padding: Sequence[int] | None = None,
    ) -> None:
        """Announce padding in what is fed next.

        Args:
            left_padding: per row, how much comes before its tokens; only into an empty batch.
            lengths: per row, its own tokens among those fed until ``finalize``.
            right_padding: per row, how much comes behind them.

        Raises:
            UnsupportedCacheError: padding to the left of a row that holds tokens, or to the right without lengths.
        """
        if left_padding is not None and not self.empty():
            raise UnsupportedCacheError("left padding fits only an empty batch: pad on the right instead")
        pads_right = right_padding is not None and max(right_padding) > 0
        if pads_right and lengths is None:
            raise UnsupportedCacheError("right padding without lengths: pass both to prepare")
        if left_padding is not None:
            self.skip = [skip + more for skip, more in zip(self.skip, left_padding, strict=True)]
        if pads_right and lengths is not None:
            self.left = list(lengths)

    def finalize(self) -> None:
        """End the padding on the right."""
        self.left = None

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[BatchKeysView, BatchValuesView]:
        """Append each row's tokens of keys [B, H, L, Dk] and values [B, H, L, Dv], padding left out; return views.

        Raises what TurboQuantKVCache.update_and_fetch raises, and UnsupportedCacheError where the tokens are not of as
        many rows. No row's history has changed then.
        """
        if keys.shape[0] != len(self.rows):
            raise UnsupportedCacheError(
                f"tokens of {keys.shape[0]} rows do not fit a batch of {len(self.rows)}: feed one row per sequence"
            )
        runs = tuple(self.run(index, keys.shape[-2]) for index in range(len(self.rows)))
        fed = [(keys[i : i + 1, :, run.fed], values[i : i + 1, :, run.fed]) for i, run in enumerate(runs)]
        going = [(row, tokens) for row, tokens, run in zip(self.rows, fed, runs, strict=True) if run.count]
        for row, tokens in going:
            row.make_ready(*tokens)
        views = {id(row): row.take(*tokens) for row, tokens in going}
        self.skip = [skip - run.skipped for skip, run in zip(self.skip, runs, strict=True)]
        if self.left is not None:
            self.left = [left - run.count for left, run in zip(self.left, runs, strict=True)]
        own = [views.get(id(row)) for row in self.rows]
        columns = max(run.columns.stop for run in runs)
        return (
            BatchKeysView((*keys.shape[:2], columns, keys.shape[3]), keys.dtype, runs, tuple(v and v[0] for v in own)),
            BatchValuesView(
                (*values.shape[:2], columns, values.shape[3]), values.dtype, runs, tuple(v and v[1] for v in own)
            ),
        )

    def run(self, index: int, length: int) -> Run:
        """Return which of the next ``length`` tokens are a row's own, and their columns of the mask."""
        held, newest = self.rows[index].offset, self.size()
        skipped = min(self.skip[index], length)
        count = length - skipped if self.left is None else min(length - skipped, self.left[index])
        return Run(skipped, count, slice(newest + skipped - held, newest + skipped + count))

    def make_mask(self, N: int, return_array: bool = False, window_size: int | None = None) -> Any:  # noqa: N803
        """Return the mask that N new tokens need: boolean [B, 1, N, size + N], or a name that says as much."""
        if not return_array and window_size is None:
            return "causal" if N > 1 else None
        newest = self.size()
        padding = [newest - row.offset + skip for row, skip in zip(self.rows, self.skip, strict=True)]
        return create_causal_mask(N, offset=newest, window_size=window_size, left_padding=mx.array(padding))

    def filter(self, batch_indices: Sequence[int] | mx.array) -> None:
        """Keep the given rows, in that order."""
        kept: Any = batch_indices.tolist() if isinstance(batch_indices, mx.array) else batch_indices
        self.rows = [self.rows[index] for index in kept]
        self.skip = [self.skip[index] for index in kept]
        self.left = self.left and [self.left[index] for index in kept]

    def extend(self, other: Any) -> None:
        """Take over another batch's rows behind one's own.

        Raises:
            UnsupportedCacheError: the other is no batch of compressed caches, or one of the two is amid padded tokens.
        """
        if not isinstance(other, BatchTurboQuantKVCache):
            raise UnsupportedCacheError(f"a {type(other).__name__} cannot join a compressed batch: {ALIKE}")
        if self.left is not None or other.left is not None:
            raise UnsupportedCacheError("right padding is still announced: call finalize before extend")
        self.rows += other.rows
        self.skip += other.skip

    def extract(self, idx: int) -> TurboQuantKVCache:
        """Return a row as a cache of its own."""
        return self.rows[idx].snapshot()

    def is_trimmable(self) -> bool:
        """Return True: tokens can be forgotten from the end."""
        return True

    def trim(self, n: int) -> int:
        """Forget the newest n tokens of each row, or as many as it has; return how many the longest lost."""
        n = min(self.size(), n)
        for row in self.rows:
            row.trim(n)
        return n

    def size(self) -> int:
        """Return the tokens of the longest row."""
        return max((row.offset for row in self.rows), default=0)

    def empty(self) -> bool:
        """Return whether no row was ever fed."""
        return all(row.empty() for row in self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows, growth capacity included."""
        return sum(row.nbytes for row in self.rows)

    def memory(self) -> dict[str, SegmentMemory]:
        """Return what the sink, packed and tail segments of all rows hold and cost."""
        by_row = [row.memory() for row in self.rows]
        return {name: summed([memory[name] for memory in by_row]) for name in ("sink", "packed", "tail")}

    @property
    def config(self) -> TurboQuantConfig:
        """The configuration of the first row: rows whose key bits were chosen from their own keys may differ there."""
        return self.rows[0].config

    @property
    def admission(self) -> Admission | None:
        """Under which family the support gate let the first row in."""
        return self.rows[0].admission

    @property
    def state(self) -> dict[str, Any]:
        """Every row's state, and the padding still to come: what ``from_state`` takes."""
        return {"rows": [row.state for row in self.rows], "skip": self.skip, "left": self.left}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the batch that ``state`` described; ``check_batch_state`` says which errors a wrong one raises."""
        configs = check_batch_state(state)
        rows = zip(state["rows"], configs, strict=True)
        batch = cls([TurboQuantKVCache.from_checked(row, config) for row, config in rows])
        batch.skip, batch.left = list(state["skip"]), state["left"]
        return batch


def summed(parts: Sequence[SegmentMemory]) -> SegmentMemory:
    """Return several segments' memory as one's."""
    tokens = sum(part.tokens for part in parts)
    bits = sum(part.tokens * part.bits_per_value for part in parts) / tokens if tokens else 0.0
    return SegmentMemory(tokens, sum(part.nbytes for part in parts), bits)
