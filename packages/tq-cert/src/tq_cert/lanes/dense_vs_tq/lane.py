"""The dense-vs-tq lane as a whole: every length and method once, then everything again."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import msgspec

from tq_cert.lanes.dense_vs_tq.record import CompareRow, CompareScope
from tq_cert.lanes.journal import Journal, key_of
from tq_cert.lanes.memory.lane import run_checked
from tq_cert.lanes.memory.record import Job, MemoryRow
from tq_cert.lanes.models import Located
from tq_cert.lanes.provenance import Provenance
from tq_cert.lanes.quality.methods import Method
from tq_cert.lanes.quality.statistics import quantile
from tq_cert.lanes.texts import Text
from tq_cert.progress import Progress

Runs = dict[tuple[int, str], list[MemoryRow]]


def compare(
    located: Located,
    text: Text,
    text_path: Path | None,
    methods: Sequence[Method],
    scope: CompareScope,
    provenance: Provenance,
    journal: Journal[MemoryRow],
    progress: Progress,
) -> Runs:
    """Run what the journal lacks; return the processes' measurements by prompt length and method.

    Raises:
        UnservedMethodError: the runtime refused the method.
        MeasurementProcessError: a process failed.
        CodesNotReadError: a compressed cache was never read.
    """
    runs: Runs = {}
    path = None if text_path is None else str(text_path.resolve())
    order = list(product(range(scope.repeats), scope.contexts, methods))
    progress.phase(located.title, len(order))
    for done, (turn, context, method) in enumerate(order, 1):
        parameters = msgspec.to_builtins(method.parameters)
        job = Job(str(located.directory), path, method.name, parameters, scope.at(context))
        key = key_of(
            weights=located.weights_sha256,
            config=located.config_sha256,
            text=text.sha256,
            method=method.name,
            parameters=parameters,
            scope=job.scope,
            provenance=provenance,
            turn=turn,
        )
        row = journal.get(key)
        if row is None:
            row = run_checked(job)
            journal.add(key, row)
            progress.note(f"{method.name}, {context} tokens, run {turn + 1}: {speeds(row)}")
        runs.setdefault((context, method.name), []).append(row)
        progress.reach(done)
    return runs


def speeds(row: MemoryRow) -> str:
    """How fast one process was, for a line of progress."""
    return f"prefill {row.seconds[0]:.2f} s, median step {quantile(row.step_seconds, 0.5) * 1e3:.1f} ms"


def compare_rows(runs: Runs) -> tuple[CompareRow, ...]:
    """One row per prompt length and method, in the order in which they were measured."""
    return tuple(CompareRow.of(context, processes) for (context, _), processes in runs.items())
