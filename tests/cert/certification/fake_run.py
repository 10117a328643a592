"""`tq-cert run` on a machine and with stages that are made up; run as a script, with the arguments of `tq-cert`.

FAKE_MACHINE is one of MACHINES, FAKE_RESULTS the folder of the stages' results (see `write_results`), FAKE_WAIT the
most milliseconds that a stage waits.
"""

import os
import sys
from functools import partial
from pathlib import Path

import msgspec

from tq_cert.certification.stage_process import StageResult
from tq_cert.evidence import Case, Environment, Model, Series, StageRun, digest_of, utc_now
from tq_cert.evidence.policy.load import CURRENT, load_edition
from tq_cert.inspection.scope import ModelSource
from tq_cert.inspection.survey_process import Survey

LINUX = Environment(
    system="Linux",
    system_version="glibc 2",
    machine="x86_64",
    python="3.11.7",
    mlx="0.32.4",
    mlx_lm="0.32.2",
    backend="cpu",
    device="AMD EPYC",
    hardware="AMD EPYC",
    memory_bytes=2**34,
    virtual_gpu=False,
    rosetta=False,
    editable=(),
    dirty=None,
    sources_sha256="0" * 64,
    overrides=(),
)
MAC = msgspec.structs.replace(
    LINUX, system="Darwin", machine="arm64", backend="metal", device="Apple M4 Max", hardware="Mac16,5"
)
MACHINES = {"linux": LINUX, "newer linux": msgspec.structs.replace(LINUX, python="3.12.4"), "mac": MAC}
MODELS = tuple(
    Model(family, "Tiny", model_type, True, None, "1" * 64, "2" * 64, "float32")
    for family, model_type in (("llama", "llama"), ("gemma", "gemma3_text"))
)


def main():
    from tq_cert.cli import main as cli
    from tq_cert.commands import run

    machine, results = MACHINES[os.environ["FAKE_MACHINE"]], os.environ["FAKE_RESULTS"]
    quick = Path(__file__).with_name("quick_stage.py")
    program = (sys.executable, "-I", "-S", str(quick), results, os.environ.get("FAKE_WAIT", "0"))
    run.run_stages = partial(run.run_stages, program=program)
    run.runtime.require = lambda: None
    run.survey = lambda chosen: Survey(machine, tuple(m for m in MODELS if m.family in {c.family for c in chosen}))
    run.sources = lambda families, progress: tuple(ModelSource(name, "nowhere", name, None) for name in families)
    sys.exit(cli(sys.argv[1:]))


def write_results(folder, machine, failing=None, families=("llama", "gemma")):
    """Write a result for every stage, whose samples keep every gate but those of one that is to fail."""
    for policy in load_edition(CURRENT).stages:
        lacks_metal = policy.name == "kernels" and machine != "mac"
        measured = StageRun(
            schema_version=1,
            stage=policy.name,
            status="not_run" if lacks_metal else "measured",
            reason="no kernels here" if lacks_metal else None,
            needs="metal" if lacks_metal else None,
            started=utc_now(),
            ended=utc_now(),
            environment_sha256=digest_of(MACHINES[machine]),
            cases=() if lacks_metal else (Case("it ran", "passed", 0.1, None),),
            series=() if lacks_metal else tuple(series_of(policy, families, broken=policy.name == failing)),
        )
        artifacts = {"stages/dense_vs_tq.md": b"a table\n"} if policy.name == "dense_vs_tq" else {}
        (folder / f"{policy.name}.json").write_bytes(msgspec.json.encode(StageResult(measured, artifacts)))


def series_of(policy, families, *, broken):
    """Samples that keep every gate of the stage, or break those with an upper bound."""
    edition = load_edition(CURRENT)
    measures = {gate.metric: edition.measure(gate.metric) for gate in policy.gates}
    prompts = [f"window {index}" for index in range(8)] if "windows" in measures else [None]
    for name in {measure.series for measure in measures.values()}:
        own = [measure for measure in measures.values() if measure.series == name]
        gates = [gate for gate in policy.gates if gate.metric in {measure.metric for measure in own}]
        values = (16.0, 256.0, 4096.0) if name == "prompt_tokens" else (value_for(gates, broken=broken),) * 200
        for family in [family for family in policy.families if family in families] if policy.families else [None]:
            for prompt in prompts:
                for preset in policy.presets or (None,):
                    yield Series(name, "x", family, preset, 4096, prompt, None, values)
                for baseline in {measure.baseline for measure in own if measure.baseline}:
                    yield Series(baseline, "x", family, None, 4096, prompt, None, (1.0,) * len(values))


def value_for(gates, *, broken):
    most = [gate.value for gate in gates if gate.bound in ("at_most", "below")]
    if most:
        return max(most) + 1 if broken else min(most) / 2
    return max(gate.value for gate in gates) + 1


if __name__ == "__main__":
    main()
