"""Step functions of many elements at once: levels[number of ascending thresholds below x].

Few steps are selected among, which vectorises and fuses; of many, one gather finds the one threshold that can matter.
"""

from bisect import bisect_left
from functools import lru_cache
from itertools import pairwise
from math import ceil

import mlx.core as mx

MOST_SELECTED = 7
"""Thresholds up to which selecting beats looking up."""


def step_function(x: mx.array, thresholds: tuple[float, ...], levels: tuple[float, ...]) -> mx.array:
    """Return levels[number of thresholds below x] of each element x ≥ 0, float32; thresholds ascend from above 0."""
    if len(thresholds) <= MOST_SELECTED:
        return select(x, thresholds, levels)
    return look_up(x, thresholds, levels)


def select(x: mx.array, thresholds: tuple[float, ...], levels: tuple[float, ...]) -> mx.array:
    """Bisect, taking every branch: selections alone."""
    if not thresholds:
        return mx.array(levels[0])
    middle = len(thresholds) // 2
    below = select(x, thresholds[:middle], levels[: middle + 1])
    above = select(x, thresholds[middle + 1 :], levels[middle + 1 :])
    return mx.where(x > thresholds[middle], above, below)


def look_up(x: mx.array, thresholds: tuple[float, ...], levels: tuple[float, ...]) -> mx.array:
    """Cut the line into cells that hold one threshold at most, and look up what lies on either side of it."""
    per_unit, in_cell, sides = cells(thresholds, levels)
    place = x * per_unit
    cell = mx.where(place < in_cell.size - 1, place, in_cell.size - 1).astype(mx.int32)
    return mx.take(sides, 2 * cell + (x > mx.take(in_cell, cell)))


@lru_cache
def cells(thresholds: tuple[float, ...], levels: tuple[float, ...]) -> tuple[float, mx.array, mx.array]:
    """Return cells per unit, each cell's threshold, and the levels below and above it, pair after pair.

    Cells are a little narrower than the smallest gap between zero and the thresholds, so that an element which
    rounding moves across a border has no second threshold to be on the wrong side of. The last cell is open-ended.
    """
    per_unit = 1.02 / min(b - a for a, b in pairwise((0.0, *thresholds)))
    in_cell: list[float] = []
    sides: list[float] = []
    for cell in range(ceil(thresholds[-1] * per_unit) + 1):
        rank = min(bisect_left(thresholds, cell / per_unit), len(thresholds) - 1)
        in_cell.append(thresholds[rank])
        sides += levels[rank : rank + 2]
    return per_unit, mx.array(in_cell), mx.array(sides)
