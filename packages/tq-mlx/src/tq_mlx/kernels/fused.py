"""Fused decode attention: two kernel launches that read packed codes, whatever the length of the history.

The first pass splits the history among threadgroups; the second merges the splits and rotates the result back. Lengths
are data, so a growing cache never compiles anew, and the buffers are read at full capacity, so nothing is copied.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import mlx.core as mx

from tq_core import Code, ScalarCode
from tq_core.rotation import signs
from tq_mlx.kernels.launch import Launch, Run
from tq_mlx.kernels.variant import Variant, nothing
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView

QUERIES = 8
"""Queries of a KV head (group · new tokens) that one threadgroup attends with."""

MERGERS = 8
"""Groups of 32 lanes per threadgroup of the second pass."""

MOST_SHARED = 256
"""From this head dimension on a lane needs so many registers that threadgroups cannot share a multiprocessor."""

TOKENS = 16
"""Tokens that 32 lanes take at a time."""


@dataclass(frozen=True)
class Tuning:
    """How the work is cut.

    Attributes:
        threadgroups: that fill the machine, whatever the batch: about two per multiprocessor.
        simds: groups of 32 lanes per threadgroup.
        residents: threadgroups that share a multiprocessor.
        most_blocks: means of blocks that one split can hold in shared memory.
    """

    threadgroups: int = 264
    simds: int = 8
    residents: int = 2
    most_blocks: int = 512


Lengths = tuple[int, int, int, int]
"""Tokens of one row of a batch: of its sink, its codes and its tail, and those dropped from the first block."""


def fused_attention(
    variant: Variant,
    queries: mx.array,
    keys: TurboQuantKeysView,
    values: TurboQuantValuesView,
    *,
    scale: float,
    causal: bool,
    run: Run,
    lengths: Sequence[Lengths] | None = None,
    tuning: Tuning = Tuning(),
) -> mx.array:
    """Return softmax(scale · q·k) · v as ``streaming_attention`` does, [B, Hq, L, D] of the queries' dtype.

    Args:
        variant: the kernel that these need.
        queries: [B, Hq, L, D], L up to 8.
        keys: view of [B, Hk, T, D].
        values: view of [B, Hk, T, D].
        scale: multiplies the scores.
        causal: whether the queries are the last L tokens, of which each sees itself and those before it.
        run: what runs a launch.
        lengths: of each row where they differ; none exceeds what the views say.
        tuning: how the work is cut.
    """
    batch, heads, length, head_dim = queries.shape
    kv_heads = keys.shape[1]
    group = heads // kv_heads
    tiles = -(-group * length // QUERIES)
    block = variant.block
    splits = splits_of(keys.packed, batch * kv_heads * tiles, block, tuning)
    shift = block.bit_length() - 1 if block else 0
    plan = integers((splits, tiles, group, length, shift, int(causal), kv_heads, 0))
    sink, tail = (0 if side is None else side.shape[-2] for side in (keys.sink, keys.tail))
    rows = lengths or [(sink, keys.packed, tail, keys.centre.gone if keys.centre else 0)] * max(2, batch)
    sign = signs(keys.codec.rotation.seed, 0, head_dim)
    parts = (batch * kv_heads * tiles * splits, QUERIES)
    sums, statistics = run(
        Launch(
            entry="attend",
            inputs={
                "queries": queries,
                "signs": sign,
                "mean": mean_of(keys),
                **packed_inputs("key", keys.code),
                **packed_inputs("value", values.code),
                **packed_inputs("shift", keys.centre.deviations if keys.centre else None),
                "key_table": variant.keys.centroids(),
                "value_table": variant.values.centroids(),
                "sink_keys": present(keys.sink, queries.dtype),
                "sink_values": present(values.sink, queries.dtype),
                "tail_keys": present(keys.tail, queries.dtype),
                "tail_values": present(values.tail, queries.dtype),
                "lengths": integers(tuple(number for row in rows for number in row) + (0,) * 4),
                "plan": plan,
                "factors": floats((scale * math.log2(math.e), variant.keys.step, variant.values.step)),
            },
            outputs={"sums": ((*parts, head_dim), mx.float32), "statistics": ((*parts, 2), mx.float32)},
            constants=(*variant.constants, ("SIMDS", tuning.simds), ("MOST_BLOCKS", tuning.most_blocks)),
            groups=(splits * tiles, batch * kv_heads),
            simds=tuning.simds,
            residents=tuning.residents if head_dim < MOST_SHARED else 0,
        )
    )
    (out,) = run(
        Launch(
            entry="reduce",
            inputs={"sums": sums, "statistics": statistics, "signs": sign, "plan": plan},
            outputs={"out": (queries.shape, queries.dtype)},
            constants=(("HEAD_DIM", head_dim), ("T", queries.dtype), ("SIMDS", MERGERS)),
            groups=(group * length, batch * kv_heads),
            simds=MERGERS,
        )
    )
    return out


def splits_of(packed: int, pairs: int, block: int | None, tuning: Tuning) -> int:
    """Return into how many splits the history is cut: whole waves of threadgroups, each of as much work as can be.

    Args:
        packed: coded tokens.
        pairs: threadgroups that there are per split.
        block: tokens that share a mean, or None.
        tuning: how the work is cut.
    """
    most = max(1, packed // (TOKENS * tuning.simds))
    least = 1 if block is None else -(-packed // (tuning.most_blocks * block - 2 * block))
    least = min(max(least, tuning.threadgroups // pairs), max(most, least))

    def idle(splits: int) -> float:
        waves = pairs * splits / tuning.threadgroups
        return math.ceil(waves) / waves if waves > 1 else 1.0

    return min(range(least, least + 4), key=idle) if pairs * least > tuning.threadgroups else least


def packed_inputs(name: str, code: Code | None) -> dict[str, mx.array]:
    """Return the words and gains of a code, or stand-ins that are never read."""
    if not isinstance(code, ScalarCode):
        return {f"{name}_words": nothing(mx.uint32), f"{name}_gain": nothing(mx.bfloat16)}
    return {f"{name}_words": code.words, f"{name}_gain": code.gain}


def present(tokens: mx.array | None, dtype: mx.Dtype) -> mx.array:
    return nothing(dtype) if tokens is None else tokens


def mean_of(keys: TurboQuantKeysView) -> mx.array:
    """Return the mean key [B, Hk, 1, D], whose score dense tokens are to lack as coded ones do."""
    if keys.centre is not None:
        return keys.centre.mean
    return mx.broadcast_to(no_mean(keys.shape[3]), (*keys.shape[:2], 1, keys.shape[3]))


@lru_cache
def no_mean(head_dim: int) -> mx.array:
    return mx.zeros((1, 1, 1, head_dim))


@lru_cache(maxsize=256)
def integers(numbers: Sequence[int]) -> mx.array:
    """Return the numbers, int32; the layers of a model share one array per step."""
    return mx.array(numbers, dtype=mx.int32)


@lru_cache(maxsize=256)
def floats(numbers: Sequence[float]) -> mx.array:
    """Return the numbers and zeros behind them, eight float32 in all."""
    return mx.array([*numbers, *[0.0] * (8 - len(numbers))])
