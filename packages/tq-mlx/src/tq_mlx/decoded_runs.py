"""Runs of coded tokens that are decoded at a time: what is decoded of a history stays small, and in the CPU's cache."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import mlx.core as mx

from tq_core import Code, Codec
from tq_mlx.segments import PACKED_STEP, round_up

MOST_DECODED = {mx.cpu: 1 << 19, mx.gpu: 1 << 23}
"""Most values (B · Hk · tokens · D) that are decoded at a time: what stays in a CPU's cache, and what fills a GPU."""


def runs_of(code: Code, tokens: int, codec: Codec[Any], rows: int) -> list[Code]:
    """Return the code's first ``tokens`` tokens in runs for products with so many rows; the last may hold more.

    Runs that are decoded are of whole growth steps: MLX compiles the arithmetic for each length that it meets.
    """
    if not codec.decodes(rows, code):
        return [code]
    stop = min(round_up(tokens, PACKED_STEP), code.tokens)
    per_token = code.head_dim * math.prod(next(iter(code.arrays().values())).shape[:-2])
    length = max(1, MOST_DECODED[mx.default_device().type] // per_token // PACKED_STEP) * PACKED_STEP
    if stop == code.tokens and stop <= length:
        return [code]
    borders = [*range(0, stop, length), stop]
    return [code.map(lambda array, a=a, b=b: array[..., a:b, :]) for a, b in pairwise(borders)]


def settled(result: mx.array, runs: Sequence[Code]) -> mx.array:
    """Return the result of one of these runs, computed before the next is begun; of a single run it is left lazy.

    Left to itself, MLX decodes many runs before it multiplies the first: into fresh pages of memory instead of those
    that the run before has just left in the cache.
    """
    if len(runs) > 1:
        mx.eval(result)
    return result
