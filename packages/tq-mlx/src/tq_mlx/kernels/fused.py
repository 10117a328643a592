"""Fused decode attention: kernels that read packed codes, whatever the length of the history.

The history is split among threadgroups; what they found is merged and rotated back by the last of them to finish, or
where none can know that it is the last, by a second launch. Lengths are data, so a growing cache never compiles anew,
and the buffers are read at full capacity, so nothing is copied. What depends on shapes and lengths alone is worked out
once per step, not per layer.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import mlx.core as mx

from tq_core import Code, ScalarCode
from tq_core.rotation import signs
from tq_mlx.kernels.launch import LANES, Pass, Run
from tq_mlx.kernels.source_text import Dialect
from tq_mlx.kernels.tickets import ticket
from tq_mlx.kernels.variant import Variant, nothing
from tq_mlx.segments import round_up
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView

QUERIES = 8
"""Queries of a KV head (group · new tokens) that one threadgroup attends with."""

TOKENS = 16
"""Tokens that 32 lanes take at a time."""

MERGERS = 8
"""Groups of 32 lanes per threadgroup of the second launch."""

MOST_SHARED = 256
"""From this head dimension on a lane needs so many registers that threadgroups cannot share a multiprocessor."""


@dataclass(frozen=True)
class Tuning:
    """How the work is cut.

    Attributes:
        threadgroups: that fill the machine, whatever the batch: as many as reside on it at a time.
        simds: groups of 32 lanes per threadgroup.
        residents: threadgroups that share a multiprocessor.
        ahead: tiles that loads run ahead of their use.
        most_blocks: means of blocks that one split can hold in shared memory.
        shared: bytes of shared memory that a threadgroup has.
        one_launch: whether the last threadgroup merges; else a second launch does.
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
    """What is launched, and what it is told about shapes and lengths."""

    attend: Pass
    reduce: Pass | None  # where it is a launch of its own
    tickets: int  # that the one launch needs
    plan: mx.array  # eight numbers for all rows, and each row's lengths
    factors: mx.array  # eight numbers, and the rotation's signs


def fused_attention(
    variant: Variant,
    queries: mx.array,
    keys: TurboQuantKeysView,
    values: TurboQuantValuesView,
    *,
    scale: float,
    causal: bool,
    run: Run,
    lengths: tuple[Lengths, ...] | None = None,
    tuning: Tuning = TUNING["cuda"],
) -> mx.array:
    """Return softmax(scale · q·k) · v as ``streaming_attention`` does, [B, Hq, L, D] of the queries' dtype.

    Args:
        variant: the kernel that these need.
        queries: [B, Hq, L, D], L up to 8.
        keys: view of [B, Hk, T, D].
        values: view of [B, Hk, T, D].
        scale: multiplies the scores.
        causal: whether the queries are the last L tokens, of which each sees itself and those before it.
        run: what runs a pass.
        lengths: of each row where they differ; none exceeds what the views say.
        tuning: how the work is cut.
    """
    centre = keys.centre
    if lengths is None:
        sink, tail = (0 if side is None else side.shape[-2] for side in (keys.sink, keys.tail))
        lengths = ((sink, keys.packed, tail, centre.gone if centre else 0),) * queries.shape[0]
    work = work_for(
        variant, tuple(queries.shape), keys.shape[1], keys.codec.rotation.seed, lengths, scale, causal, tuning
    )
    found = run(
        work.attend,
        [
            queries,
            centre.mean if centre else no_mean(keys.shape[0], keys.shape[1], keys.shape[3]),
            *arrays_of(keys.code),
            *arrays_of(values.code),
            *arrays_of(centre.deviations if centre else None),
            variant.keys.centroids(),
            variant.values.centroids(),
            *(nothing(queries.dtype) if side is None else side for side in (keys.sink, values.sink)),
            *(nothing(queries.dtype) if side is None else side for side in (keys.tail, values.tail)),
            work.plan,
            work.factors,
            *([] if work.reduce else [ticket(work.tickets)]),
        ],
    )
    if work.reduce:
        found = run(work.reduce, [*found, work.plan, work.factors])
    return found[-1]


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
    """Return what is launched for queries of that shape; the layers of a model share it."""
    batch, heads, length, head_dim = shape
    group = heads // kv_heads
    tiles = -(-group * length // QUERIES)
    packed = max(row[1] for row in lengths)
    splits = splits_of(packed, batch * kv_heads * tiles, variant.block, tuning)
    shift = variant.block.bit_length() - 1 if variant.block else 0
    pairs = batch * kv_heads
    parts = (pairs * tiles * splits, QUERIES)
    cut = (
        ("SIMDS", tuning.simds),
        ("AHEAD", tuning.ahead),
        ("MOST_BLOCKS", tuning.most_blocks),
        ("COPIES", copies_of(variant, tuning)),
    )
    factors = (scale * math.log2(math.e), variant.keys.step, variant.values.step)
    one = tuning.one_launch
    attend = Pass(
        entry="whole" if one else "attend",
        shapes=[(*parts, head_dim), (*parts, 2), *([shape] if one else [])],
        dtypes=[mx.float32, mx.float32, *([variant.dtype] if one else [])],
        constants=(*variant.constants, *cut),
        groups=(splits * tiles, pairs),
        simds=tuning.simds,
        residents=tuning.residents if head_dim < MOST_SHARED else 0,
    )
    reduce = Pass(
        entry="reduce",
        shapes=[shape],
        dtypes=[variant.dtype],
        constants=(("HEAD_DIM", head_dim), ("T", variant.dtype), ("SIMDS", MERGERS)),
        groups=(tiles, pairs),
        simds=MERGERS,
    )
    return Work(
        attend=attend,
        reduce=None if one else reduce,
        tickets=round_up(pairs * tiles, LANES),
        plan=mx.array(
            [splits, tiles, group, length, shift, int(causal), kv_heads, 0, *chain(*lengths)], dtype=mx.int32
        ),
        factors=mx.concatenate([mx.array([*factors, *[0.0] * 5]), signs(seed, 0, head_dim)]),
    )


def copies_of(variant: Variant, tuning: Tuning) -> int:
    """Return how many copies of the tables of pairs fit into shared memory: at best, each lane has its own."""
    taken = 4 * (2 * QUERIES * variant.head_dim + 2 * QUERIES * (tuning.simds + 1) + 4 * QUERIES)
    taken += 4 * QUERIES * (tuning.most_blocks + 1) if variant.block else 0
    taken += sum(4 << side.bits for side in (variant.keys, variant.values) if side.table)
    copies = LANES
    while copies > 1 and taken + copies * variant.pair_bytes > tuning.shared:
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

    return min(range(least, least + 4), key=idle) if pairs * least > tuning.threadgroups else least


def arrays_of(code: Code | None) -> tuple[mx.array, mx.array]:
    """Return the words and gains of a code, or stand-ins that are never read."""
    if not isinstance(code, ScalarCode):
        return nothing(mx.uint32), nothing(mx.bfloat16)
    return code.words, code.gain


@lru_cache(maxsize=16)
def no_mean(batch: int, kv_heads: int, head_dim: int) -> mx.array:
    """Return the mean key [B, Hk, 1, D] of keys that are not centred."""
    return mx.zeros((batch, kv_heads, 1, head_dim))
