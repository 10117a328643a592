"""Counters at which the threadgroups of a launch find out which of them finishes last.

MLX hands a kernel arrays that it is not to write to, and fresh ones that hold anything; filling one is another launch.
So a ticket is an argument that the kernel counts up after all, and leaves at zero as it found it. Launches that may run
at the same time, those of one graph of MLX's, must not share one: they are dealt in turn, more of them than a graph
has launches.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import cycle

import mlx.core as mx

DECK = 512
"""MLX puts fewer than 255 operations into a graph (``MLX_MAX_OPS_PER_BUFFER``)."""


def ticket(counters: int) -> mx.array:
    """Return the next array of so many counters, uint32, all of them zero whenever no launch is under way."""
    return next(deck(counters))


@lru_cache
def deck(counters: int) -> Iterator[mx.array]:
    tickets = [mx.zeros((counters,), dtype=mx.uint32) for _ in range(DECK)]
    mx.eval(tickets)
    return cycle(tickets)
