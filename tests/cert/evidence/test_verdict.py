"""From a run's records to its verdict: every gate can fail alone, and what is missing is never passed over."""

import msgspec
import pytest

import evidence_bundle as eb
from tq_cert.evidence import Case, Variable, derive, is_rehearsal
from tq_cert.evidence.gates import judge
from tq_cert.evidence.metrics import MEASURES
from tq_cert.evidence.policy.edition import Gate

replace = msgspec.structs.replace
GATES = [
    pytest.param(stage, gate, family, preset, id=f"{stage.name}-{gate.metric}-{family}-{preset}")
    for stage in eb.EDITION.stages
    for gate in stage.gates
    for family in gate.families or (None,)
    for preset in ((gate.preset,) if gate.preset else stage.presets or (None,))
]


def derived(manifest=None, runs=None):
    manifest = manifest or eb.manifest()
    runs = eb.runs(manifest.environment) if runs is None else runs
    return derive(manifest, [eb.record(run, artifacts=eb.TABLE) for run in runs], eb.EDITION)


def changed(stage, **fields):
    return [replace(run, **fields) if run.stage == stage else run for run in eb.runs()]


def outcomes(verdict):
    return {one.stage: one.outcome for one in verdict.stages}


def worse(series, gate: Gate, family, preset):
    """The stage's series with those of one family and preset beyond the gate's bound."""
    measure = eb.EDITION.measure(gate.metric)
    beyond = gate.value - 1 if gate.bound in ("at_least", "above") else gate.value + 1
    kept = []
    for one in series:
        if (one.name, one.family, one.preset) != (measure.series, family, preset):
            kept.append(one)
        elif measure.how == "series":
            if one.prompt in ("window 0", "window 1"):
                kept.append(replace(one, values=one.values * 4))
        elif measure.how == "distinct":
            kept.append(replace(one, values=one.values[:1]))
        elif measure.how in ("ratio_of_means", "largest_ratio"):
            kept.append(replace(one, values=tuple(value * 100 for value in one.values)))
        else:
            kept.append(replace(one, values=tuple(beyond if gate.value else max(beyond, 0.0) for _ in one.values)))
    return tuple(kept)


@pytest.mark.parametrize(("stage", "gate", "family", "preset"), GATES)
def test_each_gate_fails_alone(stage, gate, family, preset):
    """Samples beyond one bound fail it for that family and preset, and no gate on other series."""
    (run,) = (run for run in eb.runs() if run.stage == stage.name)
    verdict = derived(runs=changed(stage.name, series=worse(run.series, gate, family, preset)))
    (outcome,) = (one for one in verdict.stages if one.stage == stage.name)
    broken = {(one.metric, one.family, one.preset) for one in outcome.gates if not one.kept}
    assert (gate.metric, family, preset) in broken
    measures = {metric: eb.EDITION.measure(metric).series for metric, _, _ in broken}
    assert {(measures[metric], *whose) for metric, *whose in broken} == {(measures[gate.metric], family, preset)}
    assert verdict.name == "failed"
    assert {name for name, one in outcomes(verdict).items() if one != "held"} == {stage.name}


TAILS = replace(
    eb.EDITION,
    measures=MEASURES,
    stages=tuple(
        replace(
            stage,
            gates=(
                Gate("p99_kl", ("llama",), None, "at_most", 0.05),
                Gate("flip_rate", ("llama",), None, "at_most", 0.05),
            ),
        )
        if stage.name == "preset_quality"
        else stage
        for stage in eb.EDITION.stages
    ),
)


@pytest.mark.parametrize(
    ("metric", "name", "spoil"),
    [
        # The mean stays what it was: two samples of a hundred take over what the others lose.
        ("p99_kl", "kl", lambda index, value: 0.3 if index % 50 == 0 else value / 10),
        ("flip_rate", "flips", lambda index, value: float(index % 10 == 0)),
    ],
)
def test_the_tail_and_the_flips_can_fail_where_the_mean_does_not(metric, name, spoil):
    stage = TAILS.stage("preset_quality")
    series = next(run.series for run in eb.runs() if run.stage == stage.name)
    spoiled = tuple(
        replace(one, values=tuple(spoil(index, value) for index, value in enumerate(one.values)))
        if (one.name, one.preset, one.family) == (name, "lloyd_k4v4", "llama")
        else one
        for one in series
    )
    assert all(gate.kept for gate in judge(stage, series, ("llama",), TAILS))
    broken = [gate for gate in judge(stage, spoiled, ("llama",), TAILS) if not gate.kept]
    assert [(gate.metric, gate.preset) for gate in broken] == [(metric, "lloyd_k4v4")]
    few = tuple(replace(one, values=one.values[:100]) for one in series)
    assert all("800 samples" in gate.problem for gate in judge(stage, few, ("llama",), TAILS))


def test_nothing_compressed_fails_the_guard_against_zero():
    (run,) = (run for run in eb.runs() if run.stage == "preset_quality")
    zero = tuple(
        replace(one, values=(0.0,) * len(one.values))
        if (one.name, one.preset, one.family, one.prompt) == ("kl", "lloyd_k4v4", "gemma", "window 3")
        else one
        for one in run.series
    )
    verdict = derived(runs=changed("preset_quality", series=zero))
    problems = next(one.problems for one in verdict.stages if one.stage == "preset_quality")
    assert verdict.name == "failed"
    assert all("lloyd_k4v4" in problem and "exactly zero" in problem and "window 3" in problem for problem in problems)
    assert any(problem.startswith("mean_kl (gemma") for problem in problems)


@pytest.mark.parametrize(
    "cases",
    [
        (),
        (Case("a", "skipped", 0.0, "no network"), Case("b", "skipped", 0.0, "no network")),
        (Case("a", "passed", 1.0, None), Case("b", "failed", 1.0, "2 is not 3")),
        (Case("a", "passed", 1.0, None), Case("b", "error", 1.0, "no such file")),
    ],
    ids=["none", "all skipped", "one failed", "one error"],
)
def test_cases_can_fail_a_stage(cases):
    verdict = derived(runs=changed("kernels", cases=cases))
    assert verdict.name == "failed"
    assert outcomes(verdict)["kernels"] == "failed"


def test_a_file_that_the_contract_asks_for_and_that_was_not_left_fails_a_stage():
    verdict = derive(eb.manifest(), [eb.record(run) for run in eb.runs()], eb.EDITION)
    assert verdict.name == "failed"
    assert [one.problems for one in verdict.stages if one.problems] == [("it left no stages/dense_vs_tq.md",)]


def test_no_samples_fail_a_stage():
    assert derived(runs=changed("kernels", series=())).name == "failed"


def test_a_stage_that_failed_by_itself_fails_the_run():
    verdict = derived(runs=changed("memory", status="failed", reason="killed by signal 9", cases=(), series=()))
    assert verdict.name == "failed"
    assert [one.problems for one in verdict.stages if one.stage == "memory"] == [("killed by signal 9",)]


@pytest.mark.parametrize("count", range(len(eb.EDITION.stages)))
@pytest.mark.parametrize("machine", [eb.APPLE, eb.LINUX], ids=["apple", "linux"])
def test_a_run_that_stopped_early_is_incomplete(count, machine):
    assert derived(eb.manifest(machine), eb.runs(machine)[:count]).name == "incomplete"


@pytest.mark.parametrize("machine", [eb.APPLE, eb.LINUX], ids=["apple", "linux"])
def test_a_stage_that_was_left_out_is_incomplete(machine):
    manifest = eb.manifest(machine)
    left_out = {"status": "not_run", "reason": "--only", "cases": (), "series": ()}
    runs = [replace(run, **left_out) if run.stage == "memory" else run for run in eb.runs(machine)]
    assert derived(manifest, runs).name == "incomplete"


@pytest.mark.parametrize(("machine", "verdict"), [(eb.APPLE, "incomplete"), (eb.LINUX, "rehearsal")])
def test_only_a_rehearsal_excuses_missing_hardware(machine, verdict):
    lacking = {"status": "not_run", "reason": "no GPU", "needs": "metal", "cases": (), "series": ()}
    runs = [replace(run, **lacking) if run.stage == "kernels" else run for run in eb.runs(machine)]
    assert derived(eb.manifest(machine), runs).name == verdict


def test_a_family_out_of_scope_leaves_it_incomplete():
    manifest = eb.manifest(families=("llama",), models=eb.manifest().models[:1])
    runs = [
        replace(run, series=tuple(one for one in run.series if one.family != "gemma"))
        for run in eb.runs()
        if run.stage != "gemma_smoke"
    ]
    verdict = derived(manifest, runs)
    assert verdict.name == "incomplete"
    assert set(verdict.reasons) == {"gemma_smoke: incomplete", "gemma: out of scope"}


def apple(**changes):
    return replace(eb.APPLE, **changes)


REFUSED = {
    "rosetta": {"environment": apple(rosetta=True)},
    "editable_install": {"environment": apple(editable=("tq-mlx",))},
    "dirty_tree": {"environment": apple(dirty=True)},
    "outside_window": {"environment": apple(mlx="0.33.0")},
    "overriding_environment": {"environment": apple(overrides=(Variable("TQ_MLX_INSTALL", "0"),))},
    "missing_wheels": {"wheels": eb.manifest().wheels[1:]},
    "unpinned_weights": {"models": tuple(replace(model, sample=False) for model in eb.manifest().models)},
}
REHEARSED = {
    "linux": eb.LINUX,
    "intel": apple(machine="x86_64"),
    "cpu": apple(backend="cpu"),
    "unknown GPU": apple(device="AMD Radeon"),
    "said to be virtual": apple(virtual_gpu=True),
    "paravirtual": apple(device="Apple Paravirtual device"),
    "virtual machine": apple(hardware="VirtualMac2,1"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_every_refusal_refuses(code):
    manifest = eb.manifest(**REFUSED[code])
    assert {refusal.code for refusal in manifest.refusals} == {code}
    assert derived(manifest).name == "refused"


@pytest.mark.parametrize("machine", REHEARSED.values(), ids=REHEARSED)
@pytest.mark.parametrize("code", [None, *REFUSED])
def test_nothing_but_apple_hardware_passes(machine, code):
    changes = dict(REFUSED[code]) if code else {}
    different = msgspec.structs.asdict(changes.pop("environment", eb.APPLE))
    own = {name: value for name, value in different.items() if value != getattr(eb.APPLE, name)}
    manifest = eb.manifest(replace(machine, **own), **changes)
    assert is_rehearsal(manifest.refusals)
    assert derived(manifest).name == "rehearsal"


def test_a_failed_rehearsal_is_failed():
    runs = [replace(run, cases=()) if run.stage == "kernels" else run for run in eb.runs(eb.LINUX)]
    assert derived(eb.manifest(eb.LINUX), runs).name == "failed"


def test_a_refused_run_is_refused_whatever_it_measured():
    manifest = eb.manifest(apple(dirty=True))
    assert derived(manifest, [replace(run, cases=()) for run in eb.runs(manifest.environment)]).name == "refused"
    assert derived(manifest, []).name == "refused"


def test_all_held_on_apple_hardware_is_passed_without_reasons():
    verdict = derived()
    assert (verdict.name, verdict.reasons) == ("passed", ())
    assert set(outcomes(verdict).values()) == {"held"}
    assert all(one.gates and all(gate.kept for gate in one.gates) for one in verdict.stages)
