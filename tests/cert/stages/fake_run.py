"""`tq-cert run` with stages that take no time: run as a script, with the arguments of `tq-cert`; each stage's process
runs this file with the argument `stage`, measures what its gates ask for, out of thin air, and takes a moment.

The machine is that of the environment variable FAKE_MACHINE: "linux" or "mac".
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

import msgspec

from tq_cert.certification.stage_process import RESULT, StageJob, StageResult, leave_with_parent
from tq_cert.certification.survey_process import Survey
from tq_cert.evidence import Case, Environment, Model, Series, StageRun, digest_of, utc_now
from tq_cert.evidence.policy.load import CURRENT, load_edition

LINUX = Environment(
    system="Linux", system_version="glibc 2", machine="x86_64", python="3.11.7", mlx="0.32.4", mlx_lm="0.32.2",
    backend="cpu", device="AMD EPYC", hardware="AMD EPYC", memory_bytes=2**34, virtual_gpu=False, rosetta=False,
    editable=(), dirty=None, sources_sha256="0" * 64, overrides=(),
)  # fmt: skip
MAC = msgspec.structs.replace(
    LINUX, system="Darwin", machine="arm64", backend="metal", device="Apple M4 Max", hardware="Mac16,5"
)
ENVIRONMENT = {"linux": LINUX, "mac": MAC}[os.environ.get("FAKE_MACHINE", "linux")]
MODELS = tuple(
    Model(family, "Tiny", model_type, True, None, "1" * 64, "2" * 64, "float32")
    for family, model_type in (("llama", "llama"), ("gemma", "gemma3_text"))
)


def main():
    from tq_cert.cli import main as cli
    from tq_cert.commands import run

    program = (sys.executable, __file__, "stage")
    run.run_stages = partial(run.run_stages, program=program)
    run.runtime.require = lambda: None
    run.survey = lambda chosen: Survey(ENVIRONMENT, tuple(m for m in MODELS if m.family in {c.family for c in chosen}))
    run.sources = lambda families, progress: tuple(
        run.ModelSource(family, "nowhere", family, None) for family in families
    )
    sys.exit(cli(sys.argv[1:]))


def stage():
    import threading

    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=StageJob)
    threading.Thread(target=leave_with_parent, daemon=True).start()
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    started = utc_now()
    measured = job.stage != "kernels" or ENVIRONMENT is MAC
    result = StageRun(
        schema_version=1, stage=job.stage, status="measured" if measured else "not_run",
        reason=None if measured else "no kernels here", needs=None if measured else "metal",
        started=started, ended=utc_now(), environment_sha256=digest_of(ENVIRONMENT),
        cases=(Case("it ran", "passed", 0.1, None),), series=tuple(series_of(job.stage)) if measured else (),
    )  # fmt: skip
    artifacts = {"stages/dense_vs_tq.md": b"a table\n"} if job.stage == "dense_vs_tq" else {}
    Path(job.folder, RESULT).write_bytes(msgspec.json.encode(StageResult(result, artifacts)))


def series_of(name):
    """Samples that keep every gate of the stage; those of the stage $FAKE_FAILURE keep none with an upper bound."""
    edition = load_edition(CURRENT)
    policy = edition.stage(name)
    measures = {gate.metric: edition.measure(gate.metric) for gate in policy.gates}
    prompts = [f"window {index}" for index in range(8)] if "windows" in measures else [None]
    for series in {measure.series for measure in measures.values()}:
        own = [measure for measure in measures.values() if measure.series == series]
        bounds = [gate for gate in policy.gates if gate.metric in {measure.metric for measure in own}]
        values = (good_value(bounds, broken=name == os.environ.get("FAKE_FAILURE")),) * 1000
        if series == "prompt_tokens":
            values = (16.0, 256.0, 4096.0)
        for family in policy.families or (None,):
            for prompt in prompts:
                for preset in policy.presets or (None,):
                    yield Series(series, "x", family, preset, 4096, prompt, None, values)
                for baseline in {measure.baseline for measure in own if measure.baseline}:
                    yield Series(baseline, "x", family, None, 4096, prompt, None, (1.0,) * len(values))


def good_value(gates, *, broken):
    least = [gate.value for gate in gates if gate.bound in ("at_least", "above")]
    most = [gate.value for gate in gates if gate.bound in ("at_most", "below")]
    if most:
        return max(most) + 1 if broken else min(most) / 2
    return max(least) + 1


if __name__ == "__main__":
    stage() if sys.argv[1:] == ["stage"] else main()
