"""Whether one stage's record agrees with itself, with the policy's stage and with the files beside it."""

from collections import Counter
from collections.abc import Iterator, Mapping

from tq_cert.evidence.canonical import sha256
from tq_cert.evidence.junit import junit
from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.paths import artifact_problem, junit_path, record_path
from tq_cert.evidence.policy.edition import StagePolicy
from tq_cert.evidence.stage_record import StageRecord
from tq_cert.evidence.verdict import StageOutcome
from tq_cert.evidence.verification import faults
from tq_cert.evidence.verification.faults import Fault


def contradictions(record: StageRecord, stage: StagePolicy, manifest: Manifest) -> Iterator[Fault]:
    """Everything in the record that cannot be so."""
    path = record_path(record.stage)
    measured = record.status == "measured"
    if measured == (record.reason is not None) or (record.needs and record.status != "not_run"):
        message = f"its status is {record.status}, but its reason is {record.reason!r} and it needs {record.needs!r}"
        yield faults.CONTRADICTORY_STATUS.of(path, message)
    if record.status == "not_run" and (record.cases or record.series):
        yield faults.CONTRADICTORY_STATUS.of(path, "it was not run, but has cases or series")
    for case in record.cases:
        if (case.outcome == "passed") == (case.message is not None) or case.seconds < 0:
            yield faults.CONTRADICTORY_CASE.of(path, f"case {case.name!r} {case.outcome}, message {case.message!r}")
    for name, times in Counter(case.name for case in record.cases).items():
        if times > 1:
            yield faults.REPEATED_CASE.of(path, f"case {name!r} is there {times} times")
    yield from _series(record, stage, manifest)


def _series(record: StageRecord, stage: StagePolicy, manifest: Manifest) -> Iterator[Fault]:
    path = record_path(record.stage)
    families = set(stage.families) & set(manifest.families) if stage.families else {None}
    for one in record.series:
        if one.family not in families or one.preset not in {*stage.presets, None}:
            message = f"series {one.name} is of {one.family} and {one.preset}, which the stage does not run"
            yield faults.FOREIGN_SERIES.of(path, message)
    conditions = Counter((one.name, one.family, one.preset, one.context, one.prompt, one.seed) for one in record.series)
    for condition, times in conditions.items():
        if times > 1:
            yield faults.REPEATED_SERIES.of(path, f"series {condition[0]} is there {times} times under one condition")


def wrong_files(files: Mapping[str, bytes], record: StageRecord, outcome: StageOutcome) -> Iterator[Fault]:
    """The stage's artifacts and its XML where they are not what the record says, or what it comes to."""
    path = record_path(record.stage)
    for artifact in record.artifacts:
        content = files.get(artifact.path)
        if problem := artifact_problem(record.stage, artifact.path):
            yield faults.WRONG_ARTIFACT.of(path, f"names {artifact.path}, which {problem}")
        elif content is None or (len(content), sha256(content)) != (artifact.size, artifact.sha256):
            yield faults.WRONG_ARTIFACT.of(artifact.path, f"is not the file that {path} names")
    if files.get(junit_path(record.stage)) != junit(record, outcome):
        yield faults.WRONG_REPORT.of(junit_path(record.stage), f"is not what {path} comes to")
