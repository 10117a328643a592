"""What the evidence says: an outcome for every stage, and one verdict for the run; derived, never taken on trust."""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from tq_cert.evidence.gates import GateResult, judge
from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.paths import junit_path, record_path
from tq_cert.evidence.policy.edition import Edition, StagePolicy
from tq_cert.evidence.refusals import is_rehearsal, refusals_of
from tq_cert.evidence.stage_record import StageRecord

Outcome: TypeAlias = Literal["held", "failed", "incomplete", "impossible"]
VerdictName: TypeAlias = Literal["passed", "failed", "refused", "incomplete", "rehearsal"]
VERDICTS: tuple[VerdictName, ...] = ("passed", "failed", "refused", "incomplete", "rehearsal")


class StageOutcome(msgspec.Struct, frozen=True):
    """What became of one stage.

    Attributes:
        stage: name.
        outcome: all its gates were kept and its cases passed; it failed; it was not run or not recorded; or it cannot
            be run on this hardware, which only a rehearsal may say.
        problems: why it did not hold, in words.
        gates: every gate with its value; none where the stage was not measured.
    """

    stage: str
    outcome: Outcome
    problems: tuple[str, ...]
    gates: tuple[GateResult, ...]

    @property
    def gates_kept(self) -> str:
        """How many of how many, such as "6 of 7"; empty where none was measured."""
        return f"{sum(gate.kept for gate in self.gates)} of {len(self.gates)}" if self.gates else ""


class Verdict(msgspec.Struct, frozen=True):
    """What the whole run comes to.

    Attributes:
        name: `passed` needs real Apple hardware, no refusal, every allowlisted family and every stage held.
        reasons: why it is not `passed`; empty if it is.
        stages: one for every stage of the policy, in its order.
    """

    name: VerdictName
    reasons: tuple[str, ...]
    stages: tuple[StageOutcome, ...]


def derive(manifest: Manifest, records: Sequence[StageRecord], edition: Edition) -> Verdict:
    """The verdict that the measurements and the manifest's facts come to under an edition of the policy.

    A refused run is `refused` whatever it measured. Otherwise a stage that failed makes the run `failed`, and a stage
    or a family that is missing `incomplete`, in a rehearsal too; a rehearsal with neither is a `rehearsal`.
    """
    refusals = refusals_of(manifest.environment, manifest.wheels, manifest.models, edition)
    rehearsal = is_rehearsal(refusals)
    by_name = {record.stage: record for record in records}
    stages = tuple(_outcome(stage, by_name.get(stage.name), manifest, edition, rehearsal) for stage in edition.stages)
    missing = [family.name for family in edition.families if family.name not in manifest.families]
    reasons = (
        *(f"{refusal.code}: {refusal.detail}" for refusal in refusals),
        *(f"{stage.stage}: {stage.outcome}" for stage in stages if stage.outcome != "held"),
        *(f"{family}: out of scope" for family in missing),
    )
    outcomes = {stage.outcome for stage in stages}
    if refusals and not rehearsal:
        return Verdict("refused", reasons, stages)
    if "failed" in outcomes:
        return Verdict("failed", reasons, stages)
    if "incomplete" in outcomes or missing:
        return Verdict("incomplete", reasons, stages)
    return Verdict("rehearsal" if rehearsal else "passed", reasons, stages)


def derive_stage(stage: StagePolicy, record: StageRecord, families: Sequence[str], edition: Edition) -> StageOutcome:
    """What a stage that was measured, or that failed, comes to."""
    if record.status == "failed":
        return StageOutcome(stage.name, "failed", (record.reason or "failed",), ())
    gates = judge(stage, record.series, families, edition)
    problems = (
        *_case_problems(record),
        *_missing_files(record, stage),
        *(_described(gate) for gate in gates if not gate.kept),
    )
    return StageOutcome(stage.name, "failed" if problems else "held", problems, gates)


def _outcome(
    stage: StagePolicy, record: StageRecord | None, manifest: Manifest, edition: Edition, rehearsal: bool
) -> StageOutcome:
    if record is None:
        return StageOutcome(stage.name, "incomplete", ("it has no record",), ())
    if stage.families and not set(stage.families) & set(manifest.families):
        return StageOutcome(stage.name, "incomplete", ("none of its families is in scope",), ())
    if record.status == "not_run":
        lacking = rehearsal and record.needs is not None and record.needs != manifest.environment.backend
        return StageOutcome(stage.name, "impossible" if lacking else "incomplete", (record.reason or "not run",), ())
    return derive_stage(stage, record, manifest.families, edition)


def _case_problems(record: StageRecord) -> Iterator[str]:
    if all(case.outcome == "skipped" for case in record.cases):
        yield "every case was skipped" if record.cases else "it ran no cases"
    for case in record.cases:
        if case.outcome in ("failed", "error"):
            yield f"{case.name}: {case.message or case.outcome}"


def _missing_files(record: StageRecord, stage: StagePolicy) -> Iterator[str]:
    made = {record_path(record.stage), junit_path(record.stage), *(artifact.path for artifact in record.artifacts)}
    for path in stage.artifacts:
        if path not in made:
            yield f"it left no {path}"


def _described(gate: GateResult) -> str:
    return f"{gate.metric}{f' ({gate.whose})' if gate.whose else ''}: {gate.problem}"
