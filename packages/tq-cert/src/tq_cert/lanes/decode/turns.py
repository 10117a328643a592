"""Timings in turns, with the processor time of this process beside the time on the clock."""

import time
from collections.abc import Mapping
from typing import TypeVar

from tq_cert.lanes.decode.record import Times
from tq_cert.lanes.encode.measure import Job, seconds_of
from tq_cert.lanes.encode.record import Timing
from tq_cert.progress import Progress

Name = TypeVar("Name")


def timed_in_turns(jobs: Mapping[Name, Job], repeats: int, progress: Progress, *, parts: int = 1) -> dict[Name, Times]:
    """Time every job ``repeats`` times, one of each in turn; a turn before them is not counted.

    Args:
        jobs: what is timed.
        repeats: timings of each.
        progress: told after every turn.
        parts: equal parts that a job consists of; the times are of one.
    """
    samples: dict[Name, list[tuple[float, float]]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            before = time.process_time()
            clock = seconds_of(job)
            if turn:
                samples[name].append((clock / parts, (time.process_time() - before) / parts))
        progress.reach(turn + 1)
    return {
        name: Times(*(Timing.of(list(side)) for side in zip(*taken, strict=True))) for name, taken in samples.items()
    }
