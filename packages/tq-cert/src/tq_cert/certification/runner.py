"""All stages of a run, one process after the other: what is done is kept, what fails hides nothing behind it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from tq_cert.certification.plan import Plan
from tq_cert.certification.stage_process import RESULT, StageJob, StageResult
from tq_cert.errors import TqCertError
from tq_cert.evidence import StageRecord, StageRun, append_stage, digest_of, read_stages, utc_now
from tq_cert.process import in_words

PROGRAM = (sys.executable, "-m", "tq_cert.certification.stage_process")
LOGS = "logs"
SCRATCH = "scratch-"
LOCK = ".lock"


class RunInUseError(TqCertError):
    """Another process works in the run's directory."""

    def __init__(self, directory: str) -> None:
        super().__init__(f"another process runs stages in {directory}", "wait for it, or give --out another directory")


class Watcher(Protocol):
    """Whoever wants to know how far a run is."""

    def begins(self, stage: str) -> None:
        """A stage's process starts."""
        ...

    def ends(self, record: StageRecord, *, resumed: bool) -> None:
        """A stage is recorded; resumed, if an earlier process had done it."""
        ...


def run_stages(
    directory: Path,
    plan: Plan,
    limits: Mapping[str, float],
    watcher: Watcher,
    program: Sequence[str] = PROGRAM,
) -> tuple[StageRecord, ...]:
    """Run the stages that the directory has no record of.

    Args:
        directory: of the run; it holds its plan.
        plan: of the run.
        limits: seconds that each stage may take, in the order in which they run.
        watcher: is told.
        program: what runs one stage.

    Returns:
        The records of all stages that are done, in the order in which they were.

    Raises:
        DamagedRunError: a record was changed since.
        FileAccessError: the directory cannot be used.
    """
    for stale in directory.glob(f"{SCRATCH}*"):
        shutil.rmtree(stale, ignore_errors=True)
    done = {record.stage: record for record in read_stages(directory, plan.environment)}
    for stage, limit in limits.items():
        if stage in done:
            watcher.ends(done[stage], resumed=True)
            continue
        watcher.begins(stage)
        result = run_one(directory, plan, stage, limit, program)
        watcher.ends(append_stage(directory, plan.environment, result.run, result.artifacts), resumed=False)
    return read_stages(directory, plan.environment)


@contextmanager
def in_use(directory: Path) -> Generator[None]:
    """Keep other processes from running stages in the directory.

    Raises:
        RunInUseError: one does already.
    """
    import fcntl  # Windows has none, and verifies bundles all the same

    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunInUseError(str(directory)) from error
        yield


def clear(directory: Path) -> None:
    """Remove a run that is in use by this process alone."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def run_one(directory: Path, plan: Plan, stage: str, limit: float, program: Sequence[str]) -> StageResult:
    """Run one stage to its end, or to the end of its time."""
    scratch, started = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=directory)), utc_now()
    job = StageJob(stage, plan.sources, plan.sizes, str(scratch))
    log = directory / LOGS / f"{stage}.log"
    log.parent.mkdir(exist_ok=True)
    try:
        reason = completed(program, job, limit, log)
        if reason is None:
            try:
                return msgspec.json.decode((scratch / RESULT).read_bytes(), type=StageResult)
            except msgspec.DecodeError as error:
                reason = f"its process left what is no result: {error}"
        return StageResult(failed(stage, reason, started, plan), {})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def completed(program: Sequence[str], job: StageJob, limit: float, log: Path) -> str | None:
    """Run the process; return why it left no result, or None if it did."""
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 (our own module)
            program, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            hand_over(process, job)
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            stop(process)
            return f"it was stopped after its limit of {limit:g} seconds"
        except BaseException:
            stop(process)
            raise
    if status == 0 and Path(job.folder, RESULT).exists():
        return None
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"its process {in_words(status)}: {lines[-1] if lines else 'it said nothing'}"


def hand_over(process: subprocess.Popen[bytes], job: StageJob) -> None:
    """Write the job to the process's standard input; how a process ends that reads nothing says why it does not."""
    assert process.stdin is not None  # noqa: S101 (it is a pipe)
    try:
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.flush()  # and left open: its end tells the process that this one is gone
    except BrokenPipeError:
        with suppress(BrokenPipeError):  # once more, over what is still in the buffer; closed it is in any case
            process.stdin.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()


def failed(stage: str, reason: str, started: str, plan: Plan) -> StageRun:
    """The run of a stage whose process left none."""
    return StageRun(
        schema_version=1,
        stage=stage,
        status="failed",
        reason=reason,
        needs=None,
        started=started,
        ended=utc_now(),
        environment_sha256=digest_of(plan.environment),
        cases=(),
        series=(),
    )
