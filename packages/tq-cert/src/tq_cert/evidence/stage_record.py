"""One stage of certification as it was measured: samples and test cases, never a verdict.

A stage's process makes a `StageRun`; appending it to a run's directory makes a `StageRecord` of it, which names its
artifacts and the record before it.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta

from tq_cert.evidence.fields import Count, EvidenceRecord, FilePath, Name, Number, SchemaVersion, Sha256, Text, Time


class Series(EvidenceRecord, frozen=True):
    """Samples of one quantity, in the order in which they were taken.

    Attributes:
        name: of the quantity; `tq_cert.evidence.metrics` says which series a metric is computed from.
        unit: of every value.
        family: of the model, or None for a stage that runs none.
        preset: of the compressed run, or None for the series of a dense or baseline run.
        context: tokens in the cache, or None where that means nothing.
        prompt: name of the prompt, window of text or shape; with family, context and seed it pairs a series with
            its baseline.
        seed: of what was drawn at random, or None.
        values: the samples, finite, as measured.
    """

    name: Name
    unit: Text
    family: Name | None
    preset: Name | None
    context: Count | None
    prompt: Text | None
    seed: Count | None
    values: Annotated[tuple[Number, ...], Meta(min_length=1)]


class Case(EvidenceRecord, frozen=True):
    """One named check or test that the stage ran.

    Attributes:
        name: unique in its stage.
        outcome: `failed` is a check that did not hold, `error` one that could not be made.
        seconds: that it took.
        message: why it did not pass; None if it did.
    """

    name: Text
    outcome: Literal["passed", "failed", "error", "skipped"]
    seconds: Number
    message: Text | None


class StageRun(EvidenceRecord, frozen=True):
    """What one stage's process hands over.

    Attributes:
        schema_version: of this record.
        stage: its name in the contract.
        status: `measured` to the end, `failed` by an error of the stage's own or a time limit, or `not_run`.
        reason: the error, or why it was not run; None if measured.
        needs: the hardware for want of which it was not run, or None. Excused in a rehearsal where the environment
            bears it out.
        started: UTC.
        ended: UTC.
        environment_sha256: `digest_of` the environment as the stage's own process found it.
        cases: what was checked; a measured stage has at least one that was not skipped.
        series: what was measured.
    """

    schema_version: SchemaVersion
    stage: Name
    status: Literal["measured", "failed", "not_run"]
    reason: Text | None
    needs: Literal["metal"] | None
    started: Time
    ended: Time
    environment_sha256: Sha256
    cases: tuple[Case, ...]
    series: tuple[Series, ...]


class Artifact(EvidenceRecord, frozen=True):
    """A file that the stage left beside its record."""

    path: FilePath
    size: Count
    sha256: Sha256


class StageRecord(StageRun, frozen=True):
    """A stage's run in its place in the chain.

    Attributes:
        artifacts: files beside this one.
        previous: SHA-256 of the record before it, byte for byte; of the environment for the first.
    """

    artifacts: tuple[Artifact, ...]
    previous: Sha256


def utc_now() -> str:
    """The time in UTC, to the microsecond, as records write it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
