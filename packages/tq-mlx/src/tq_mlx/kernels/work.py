"""How decode attention is cut into threadgroups, and the numbers that its kernels are told.

All of it depends on shapes and lengths alone, so it is worked out once per step, not per layer; and since lengths are
data, a growing cache compiles nothing anew.
"""

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, cast

import mlx.core as mx

from tq_core.rotation import signs
from tq_mlx.kernels.launch import LANES, Pass
from tq_mlx.kernels.source_text import Dialect
from tq_mlx.kernels.variant import Variant
from tq_mlx.segments import round_up

QUERIES = 8
"""Queries of a KV head (group · new tokens) that one threadgroup attends with."""

TOKENS = 16
"""Tokens that 32 lanes take at a time."""

MERGERS = 8
"""Groups of 32 lanes per threadgroup of the second launch."""

MOST_SHARED = 256
"""From this head dimension on a lane needs so many registers that threadgroups cannot share a multiprocessor."""


@dataclass(frozen=True, eq=False)
class Tuning:
    """How the work is cut.

    Attributes:
        threadgroups: that fill the machine, whatever the batch: as many as reside on it at a time.
        simds: groups of 32 lanes per threadgroup, up to 8.
        residents: threadgroups that share a multiprocessor.
        ahead: tiles that loads run ahead of their use.
        most_blocks: means of blocks that one split can hold in shared memory.
        shared: bytes of shared memory that a threadgroup has.
        one_launch: whether the last threadgroup merges what all found; else a second launch does.
    """

    threadgroups: int = 264
    simds: int = 8
    residents: int = 2
    ahead: int = 1
    most_blocks: int = 192
    shared: int = 48 << 10
    one_launch: bool = True


TUNING: dict[Dialect, Tuning] = {
    "cuda": Tuning(),  # as measured on an H200
    # Not measured. Metal orders no writes between threadgroups of a launch.
    "metal": Tuning(threadgroups=160, simds=4, residents=4, shared=32 << 10, one_launch=False),
}

Lengths = tuple[int, int, int, int]
"""Tokens of one row of a batch: of its sink, its codes and its tail, and those dropped from the first block."""


@dataclass(frozen=True)
class Work:
    """What is launched.

    Attributes:
        attend: the pass over the history.
        reduce: the pass that merges its splits, where that is a launch of its own.
        numbers: constants of the variant and the rotation, then shapes and lengths, uint32.
        tickets: that the first pass needs where it is the only one.
    """

    attend: Pass
    reduce: Pass | None
    numbers: mx.array
    tickets: int


@lru_cache(maxsize=64)
def work_for(
    variant: Variant,
    shape: tuple[int, int, int, int],
    kv_heads: int,
    seed: int,
    lengths: tuple[Lengths, ...],
    scale: float,
    causal: bool,
    tuning: Tuning,
) -> Work:
    """Return what is launched for queries of that shape; the layers of a model share it.

    Args:
        variant: the kernel.
        shape: [B, Hq, L, D] of the queries.
        kv_heads: Hk.
        seed: of the rotation.
        lengths: of each row.
        scale: multiplies the scores.
        causal: whether the queries are the last L tokens.
        tuning: how the work is cut.
    """
    batch, heads, length, _ = shape
    pairs, group = batch * kv_heads, heads // kv_heads
    tiles = -(-group * length // QUERIES)
    splits = splits_of(max(row[1] for row in lengths), pairs * tiles, variant.block, tuning)
    parts = pairs * tiles * splits
    constants = constant_words(variant, seed, scale)
    shift = variant.block.bit_length() - 1 if variant.block else 0
    plan = (splits, tiles, group, length, shift, causal, kv_heads, parts, *chain(*lengths))
    plan_at = len(constants) // 4
    return Work(
        attend=attend_pass(variant, shape, parts, (splits * tiles, pairs), plan_at, tuning),
        reduce=None if tuning.one_launch else reduce_pass(variant, shape, (tiles, pairs), plan_at),
        numbers=words_of(constants + struct.pack(f"{len(plan)}i", *plan)),
        tickets=round_up(pairs * tiles, LANES),
    )


def attend_pass(
    variant: Variant,
    shape: tuple[int, int, int, int],
    parts: int,
    groups: tuple[int, int],
    plan_at: int,
    tuning: Tuning,
) -> Pass:
    """Return the pass over the history, whose plan is the numbers from ``plan_at`` on; alone, it gives the result."""
    alone, head_dim = tuning.one_launch, variant.head_dim
    return Pass(
        entry="whole" if alone else "attend",
        shapes=[(parts * QUERIES * (head_dim + 2),), *([shape] if alone else [])],
        dtypes=[mx.float32, *([variant.dtype] if alone else [])],
        constants=(
            *variant.constants,
            ("PLAN_AT", plan_at),
            ("SIMDS", tuning.simds),
            ("AHEAD", tuning.ahead),
            ("MOST_BLOCKS", tuning.most_blocks),
            ("COPIES", copies_of(variant, tuning)),
        ),
        groups=groups,
        simds=tuning.simds,
        residents=tuning.residents if head_dim < MOST_SHARED else 0,
    )


def reduce_pass(variant: Variant, shape: tuple[int, int, int, int], groups: tuple[int, int], plan_at: int) -> Pass:
    """Return the pass that merges what the first one's threadgroups found."""
    return Pass(
        entry="reduce",
        shapes=[shape],
        dtypes=[variant.dtype],
        constants=(("HEAD_DIM", variant.head_dim), ("T", variant.dtype), ("PLAN_AT", plan_at), ("SIMDS", MERGERS)),
        groups=groups,
        simds=MERGERS,
    )


@lru_cache
def constant_words(variant: Variant, seed: int, scale: float) -> bytes:
    """Return what the kernels are told whatever the lengths: three factors in eight words, signs, centroids."""
    factors = (scale * math.log2(math.e), variant.keys.step, variant.values.step, *[0.0] * 5)
    floats = (*factors, *cast("list[float]", signs(seed, 0, variant.head_dim).tolist()))
    return struct.pack(f"{len(floats)}f", *floats) + variant.keys.centroids() + variant.values.centroids()


def words_of(data: bytes) -> mx.array:
    """Return data as uint32."""
    words: Any = memoryview(data).cast("I")  # MLX takes any buffer, which its types do not say
    return mx.array(words)


def copies_of(variant: Variant, tuning: Tuning) -> int:
    """Return how many copies of the tables of pairs fit into shared memory: at best, each lane has its own."""
    floats = QUERIES * (2 * variant.head_dim + 2 * (tuning.simds + 1) + 4)
    floats += QUERIES * (tuning.most_blocks + 1) if variant.block else 0
    tables = len(variant.keys.centroids()) + len(variant.values.centroids())
    copies = LANES
    while copies > 1 and 4 * floats + tables + copies * variant.pair_bytes > tuning.shared:
        copies //= 2
    return copies


def splits_of(packed: int, pairs: int, block: int | None, tuning: Tuning) -> int:
    """Return into how many splits the history is cut: whole waves of threadgroups, each of as much work as can be.

    Args:
        packed: coded tokens.
        pairs: threadgroups that there are per split.
        block: tokens that share a mean, or None.
        tuning: how the work is cut.
    """
    most = max(1, packed // (2 * TOKENS * tuning.simds))
    least = 1 if block is None else -(-packed // (tuning.most_blocks * block - 2 * block))
    least = min(max(least, tuning.threadgroups // pairs), max(most, least))

    def idle(splits: int) -> float:
        waves = pairs * splits / tuning.threadgroups
        return math.ceil(waves) / waves if waves > 1 else 1.0

    return min(range(least, 2 * least + 2), key=idle) if pairs * least > tuning.threadgroups else least
