"""One stage in a process of its own: run as a module, it reads a StageJob from standard input and writes its result.

Standard input stays open behind the job: when it ends, whoever started this is gone, and this process goes too.
"""

import os
import signal
import sys
import threading
import traceback
from pathlib import Path

import msgspec

import tq_contract
from tq_cert.evidence import StageRun, digest_of, utc_now
from tq_cert.inspection.scope import ModelSource
from tq_cert.stages import function_of
from tq_cert.stages.recorder import Recorder, StageNotRunError
from tq_cert.stages.sizes import Sizes

RESULT = "result.json"


class StageJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a stage's process is asked to do.

    Attributes:
        stage: name in the contract.
        sources: the models in scope.
        sizes: how much is measured.
        folder: an empty directory; the result is written there, whole.
    """

    stage: str
    sources: tuple[ModelSource, ...]
    sizes: Sizes
    folder: str


class StageResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a stage's process leaves: its run, and its other files by path within the bundle."""

    run: StageRun
    artifacts: dict[str, bytes]


def main() -> None:
    """Run the job that standard input holds."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=StageJob)
    threading.Thread(target=leave_with_parent, daemon=True).start()
    result = run_stage(job)
    partial = Path(job.folder, f".{RESULT}")
    partial.write_bytes(msgspec.json.encode(result))
    partial.replace(Path(job.folder, RESULT))


def leave_with_parent() -> None:
    """End this process and those that it started when standard input ends."""
    while os.read(sys.stdin.fileno(), 1):  # not through sys.stdin, whose lock would be held when this process ends
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


def run_stage(job: StageJob) -> StageResult:
    """Measure; an error of the stage's own becomes its reason, beside what it had measured until then.

    Where the error came from is printed on standard error, which is the stage's log.
    """
    started, recorder = utc_now(), Recorder()
    environment, status, reason, needs = "0" * 64, "measured", None, None
    try:
        from tq_cert.inspection.environment import find_environment  # loads MLX
        from tq_cert.stages.setting import Setting

        environment = digest_of(find_environment())
        stage = next(one for one in tq_contract.load().certification.stages if one.name == job.stage)
        sources = {source.family: source for source in job.sources}
        function_of(job.stage)(Setting(stage, sources, job.sizes, Path(job.folder)), recorder)
    except StageNotRunError as cause:
        status, reason, needs = "not_run", str(cause), "metal"
    except Exception as error:
        traceback.print_exc()
        status, reason = "failed", f"{type(error).__name__}: {error}"
    run = StageRun(
        schema_version=1,
        stage=job.stage,
        status=status,
        reason=reason,
        needs=needs,
        started=started,
        ended=utc_now(),
        environment_sha256=environment,
        cases=() if status == "not_run" else tuple(recorder.cases),
        series=() if status == "not_run" else tuple(recorder.series),
    )
    return StageResult(run, recorder.artifacts)


if __name__ == "__main__":
    main()
