"""The memory lane as a whole: one process per method, one after the other."""

import sys
from collections.abc import Sequence

import msgspec

from tq_cert.errors import EXIT_REFUSED
from tq_cert.lanes.errors import CodesNotReadError, MeasurementProcessError, UnservedMethodError
from tq_cert.lanes.memory.record import Job, MemoryRow
from tq_cert.lanes.tables import megabytes
from tq_cert.process import ask
from tq_cert.progress import Progress

PROGRAM = (sys.executable, "-m", "tq_cert.lanes.memory.generation")


def memory_rows(jobs: Sequence[Job], progress: Progress) -> tuple[MemoryRow, ...]:
    """Run the jobs and return their rows, in their order.

    Raises:
        UnservedMethodError: the runtime refused the method.
        MeasurementProcessError: a process failed; the last line of its errors is in the message.
        CodesNotReadError: a compressed cache was never read.
    """
    rows: list[MemoryRow] = []
    progress.phase("one process per method", len(jobs))
    for job in jobs:
        row = run_checked(job)
        rows.append(row)
        progress.reach(len(rows))
        progress.note(f"{job.method}: peak {megabytes(row.peaks.overall)} MB, cache {megabytes(row.cache_bytes)} MB")
    return tuple(rows)


def run_checked(job: Job) -> MemoryRow:
    """Run one job, and see that a compressed cache was read.

    Raises:
        UnservedMethodError: the runtime refused the method.
        MeasurementProcessError: its process failed; the last line of its errors is in the message.
        CodesNotReadError: a compressed cache was never read.
    """
    row = run(job)
    if job.method.startswith(("preset:", "config:")) and not row.codes_read:
        raise CodesNotReadError(job.method, "attention read no codes")
    return row


def run(job: Job) -> MemoryRow:
    """Run one job in a process of its own."""
    ended = ask(PROGRAM, job)
    if ended.status == EXIT_REFUSED:
        raise UnservedMethodError(job.method, ended.message, "choose what the message allows")
    if ended.status:
        raise MeasurementProcessError(job.method, ended.status, ended.message)
    return msgspec.json.decode(ended.answer, type=MemoryRow)
