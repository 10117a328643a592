"""A run on disk while it lasts: one file per stage, and a log that makes a chain of them.

A stage counts once its line is in the log. A run that is killed before that leaves a record without a line, which the
next run of the stage replaces; a line that is cut off is dropped. So a run goes on after the last whole stage, and
nothing that is half written is ever read.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from tq_cert.errors import FileAccessError
from tq_cert.evidence.canonical import digest_of, encode, encode_line, sha256
from tq_cert.evidence.errors import DamagedRunError, InvalidRecordError, StageOrderError
from tq_cert.evidence.fields import EvidenceRecord, FilePath, Name, Sha256
from tq_cert.evidence.manifest import Environment
from tq_cert.evidence.paths import LOG, artifact_problem, record_path
from tq_cert.evidence.reading import NotARecordError, decode
from tq_cert.evidence.stage_record import Artifact, StageRecord, StageRun
from tq_cert.files import append_line, drop_broken_end, write_whole


class Link(EvidenceRecord, frozen=True):
    """One line of the log: a record, and the one before it.

    Attributes:
        stage: name.
        path: of the record, within the run.
        sha256: of the record, byte for byte.
        previous: that of the record before it; of the environment for the first.
    """

    stage: Name
    path: FilePath
    sha256: Sha256
    previous: Sha256


def append_stage(
    directory: Path, environment: Environment, run: StageRun, artifacts: Mapping[str, bytes] | None = None
) -> StageRecord:
    """Write a stage's record and its artifacts, and add it to the chain, on disk before this returns.

    Args:
        directory: of the run; made if it is not there.
        environment: what the chain begins with, the same for every stage of a run.
        run: what the stage's process handed over.
        artifacts: other files of the stage by path within the run, such as `stages/dense_vs_tq.md`.

    Raises:
        InvalidRecordError: a field or a sample is not what it has to be, such as NaN.
        StageOrderError: the stage is in the chain already.
        DamagedRunError: what is there was changed.
        FileAccessError: the directory cannot be read or written.
    """
    records = read_stages(directory, environment)
    if any(record.stage == run.stage for record in records):
        raise StageOrderError(run.stage, str(directory))
    files = dict(artifacts or {})
    if problems := [f"{path} {problem}" for path in files if (problem := artifact_problem(run.stage, path))]:
        raise InvalidRecordError(f"the artifacts of stage {run.stage!r}", problems)
    listed = tuple(Artifact(path, len(content), sha256(content)) for path, content in sorted(files.items()))
    previous = digest_of(records[-1]) if records else digest_of(environment)
    record = _valid(StageRecord(**msgspec.structs.asdict(run), artifacts=listed, previous=previous))
    content = encode(record)
    for path, artifact in files.items():
        write_whole(directory / path, artifact)
    write_whole(directory / record_path(run.stage), content)
    append_line(directory / LOG, encode_line(Link(run.stage, record_path(run.stage), sha256(content), previous)))
    return record


def read_stages(directory: Path, environment: Environment) -> tuple[StageRecord, ...]:
    """The records of the chain so far, in order; none where no run was begun.

    Raises:
        DamagedRunError: a record or an artifact is missing or was changed, or the environment is another one.
        FileAccessError: a file cannot be read.
    """
    records: list[StageRecord] = []
    previous = digest_of(environment)
    for link in read_log(directory):
        if link.previous != previous:
            problem = "does not follow the record before it" if records else "was made in another environment"
            raise DamagedRunError(link.path, problem)
        records.append(_read_record(directory, link))
        previous = link.sha256
    return tuple(records)


def read_log(directory: Path) -> tuple[Link, ...]:
    """The lines of the log, without one that was cut off.

    Raises:
        DamagedRunError: a line cannot be read.
        FileAccessError: the file cannot be read.
    """
    path = directory / LOG
    try:
        drop_broken_end(path)
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        return tuple(decode(line, Link, encode_line) for line in lines)
    except NotARecordError as error:
        raise DamagedRunError(LOG, str(error)) from error
    except OSError as error:
        raise FileAccessError(str(path), error) from error


def _read_record(directory: Path, link: Link) -> StageRecord:
    content = _read_intact(directory, link.path, link.sha256)
    try:
        record = decode(content, StageRecord)
    except NotARecordError as error:
        raise DamagedRunError(link.path, str(error)) from error
    for artifact in record.artifacts:
        _read_intact(directory, artifact.path, artifact.sha256)
    return record


def _read_intact(directory: Path, path: str, digest: str) -> bytes:
    try:
        content = (directory / path).read_bytes()
    except FileNotFoundError:
        raise DamagedRunError(path, "is missing") from None
    except OSError as error:
        raise FileAccessError(path, error) from error
    if sha256(content) != digest:
        raise DamagedRunError(path, f"has SHA-256 {sha256(content)}, not {digest}")
    return content


def _valid(record: StageRecord) -> StageRecord:
    """The record as it will be read: whole numbers of a float field become floats."""
    try:
        series = tuple(replace(one, values=tuple(map(float, one.values))) for one in record.series)
        cases = tuple(replace(one, seconds=float(one.seconds)) for one in record.cases)
        return decode(encode(replace(record, series=series, cases=cases)), StageRecord)
    except NotARecordError as error:
        problems = [str(problem) for problem in error.problems]
    except (UnicodeEncodeError, OverflowError) as error:  # half a surrogate pair, or more than 64 bits
        problems = [str(error)]
    raise InvalidRecordError(f"the record of stage {record.stage!r}", problems)
