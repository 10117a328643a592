"""How a compressed cache's segments fill as tokens arrive: its own rules of growth, with numbers for arrays.

A prompt of T tokens arrives as mlx-lm's generation loop passes it: T − 1 tokens in blocks, and the last one alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from tq_mlx.config import TurboQuantConfig
from tq_mlx.segments import PACKED_STEP, grown, round_up

PREFILL_STEP = 2048
"""Tokens that mlx-lm prefills at a time unless told otherwise."""


@dataclass(frozen=True)
class PlannedSegments:
    """Live tokens of each segment of a ``TurboQuantKVCache``, and the tokens that its arrays have room for."""

    sink: int = 0
    packed: int = 0
    packed_capacity: int = 0
    tail: int = 0
    tail_capacity: int = 0

    def with_tokens(self, count: int, config: TurboQuantConfig) -> Self:
        """Return the segments after tokens were appended: to the sink until it is full, then to the tail."""
        room = min(config.sink_tokens - self.sink, count)
        tail = self.tail + count - room
        capacity = grown(self.tail_capacity, self.tail, tail, config.block_tokens)
        return replace(self, sink=self.sink + room, tail=tail, tail_capacity=capacity)

    def with_overflow_coded(self, config: TurboQuantConfig) -> Self:
        """Return the segments after the oldest whole blocks beyond ``tail_tokens`` were coded."""
        block = config.block_tokens
        count = max(0, self.tail - config.tail_tokens) // block * block
        if not count:
            return self
        packed, tail = self.packed + count, self.tail - count
        capacity = grown(self.packed_capacity, self.packed, packed, PACKED_STEP)
        return type(self)(self.sink, packed, capacity, tail, round_up(tail, block))

    def with_fullest_tail(self, config: TurboQuantConfig) -> Self:
        """Return the segments with the largest tail that any context up to this one has."""
        full = min(self.packed + self.tail, config.tail_tokens + config.block_tokens)
        before = max(0, full - 1) // config.block_tokens * config.block_tokens  # the fullest from which it grows
        return replace(self, tail_capacity=grown(0, before, full, config.block_tokens))


def segments_at(tokens: int, config: TurboQuantConfig) -> PlannedSegments:
    """Return the segments of a cache that holds that many tokens."""
    blocks = max(0, tokens - 1) // PREFILL_STEP
    segments = after_blocks(blocks, config)
    for count in arrivals(tokens - blocks * PREFILL_STEP):
        segments = segments.with_overflow_coded(config).with_tokens(count, config)
        if count > 1 or not config.tail_tokens:
            segments = segments.with_overflow_coded(config)
    return segments


def after_blocks(blocks: int, config: TurboQuantConfig) -> PlannedSegments:
    """Return the segments after whole blocks of the prefill, looking only at those with which the codes' room grew."""
    dense = config.sink_tokens + config.tail_tokens

    def coded(count: int) -> int:
        return max(0, count * PREFILL_STEP - dense) // config.block_tokens * config.block_tokens

    capacity = 0
    while True:
        more = round_up(capacity + 1, config.block_tokens)
        count = round_up(dense + more, PREFILL_STEP) // PREFILL_STEP  # the first block that does not fit any more
        if count > blocks:
            break
        capacity = grown(capacity, coded(count - 1), coded(count), PACKED_STEP)
    held, packed = blocks * PREFILL_STEP, coded(blocks)
    sink = min(config.sink_tokens, held)
    tail = held - sink - packed
    return PlannedSegments(sink, packed, capacity, tail, round_up(tail, config.block_tokens))


def arrivals(tokens: int) -> Iterator[int]:
    """Yield the numbers of tokens that a model is given at a time."""
    blocks, rest = divmod(max(0, tokens - 1), PREFILL_STEP)
    yield from [PREFILL_STEP] * blocks
    if rest:
        yield rest
    if tokens:
        yield 1
