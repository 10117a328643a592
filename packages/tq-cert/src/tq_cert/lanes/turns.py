"""Timings that can be compared: everything is timed once before anything is timed again."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  (first: it loads OpenBLAS before MLX is imported)

# isort: split
import mlx.core as mx

from tq_cert.lanes.timing import Times, Timing
from tq_cert.progress import Progress

Name = TypeVar("Name")

Job = Callable[[], Any]
"""Computes something and returns the arrays to wait for."""


def timed_in_turns(jobs: Mapping[Name, Job], repeats: int, progress: Progress, *, parts: int = 1) -> dict[Name, Times]:
    """Time every job ``repeats`` times, one of each in turn, so that what disturbs the machine disturbs them all alike.

    One turn before them compiles what there is to compile and is not counted.

    Args:
        jobs: what is timed.
        repeats: timings of each.
        progress: told after every turn.
        parts: equal parts that a job consists of; the times are of one.
    """
    samples: dict[Name, list[tuple[float, float]]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            clock, processor = seconds_of(job)
            if turn:
                samples[name].append((clock / parts, processor / parts))
        progress.reach(turn + 1)
    return {
        name: Times(*(Timing.of(list(side)) for side in zip(*taken, strict=True))) for name, taken in samples.items()
    }


def seconds_of(job: Job) -> tuple[float, float]:
    """Seconds of one run on the clock, and of all the process's threads together."""
    processor, clock = time.process_time(), time.perf_counter()
    mx.eval(job())
    return time.perf_counter() - clock, time.process_time() - processor


def clocked_in_turns(jobs: Mapping[Name, Job], repeats: int, progress: Progress) -> dict[Name, Timing]:
    """The clock's times of `timed_in_turns` alone."""
    return {name: times.clock for name, times in timed_in_turns(jobs, repeats, progress).items()}
