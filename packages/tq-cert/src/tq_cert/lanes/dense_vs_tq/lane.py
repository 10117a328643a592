"""The dense-vs-tq lane as a whole: every length and method once, then everything again."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tq_cert.lanes.dense_vs_tq.record import CompareRow, CompareScope
from tq_cert.lanes.journal import Journal, key_of
from tq_cert.lanes.memory.lane import run_checked
from tq_cert.lanes.memory.record import Job, MemoryRow
from tq_cert.lanes.models import Located
from tq_cert.lanes.provenance import Provenance
from tq_cert.lanes.quality.methods import Method
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
    progress.phase(located.title, scope.repeats * len(scope.contexts) * len(methods))
    done = 0
    for turn in range(scope.repeats):
        for context in scope.contexts:
            for method in methods:
                job = Job(
                    str(located.directory),
                    None if text_path is None else str(text_path.resolve()),
                    method.name,
                    msgspec.to_builtins(method.parameters),
                    scope.at(context),
                )
                key = key_of(
                    weights=located.weights_sha256,
                    config=located.config_sha256,
                    text=text.sha256,
                    method=method.name,
                    parameters=job.parameters,
                    scope=job.scope,
                    provenance=provenance,
                    turn=turn,
                )
                row = journal.get(key)
                if row is None:
                    row = run_checked(job)
                    journal.add(key, row)
                    steps = sorted(row.step_seconds)
                    progress.note(
                        f"{method.name}, {context} tokens, run {turn + 1}: prefill {row.seconds[0]:.2f} s, "
                        f"median step {steps[len(steps) // 2] * 1e3:.1f} ms"
                    )
                runs.setdefault((context, method.name), []).append(row)
                done += 1
                progress.reach(done)
    return runs


def compare_rows(runs: Runs) -> tuple[CompareRow, ...]:
    """One row per prompt length and method, in the order in which they were measured."""
    return tuple(CompareRow.of(context, processes) for (context, _), processes in runs.items())
