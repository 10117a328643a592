"""A page of an intact evidence bundle: the verdict as derived here, every stage and gate, charts of the raw samples."""

from collections.abc import Sequence
from pathlib import Path

from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.stage_record import StageRecord
from tq_cert.evidence.verdict import StageOutcome, Verdict
from tq_cert.evidence.verification import parts
from tq_cert.evidence.verification.contents import read_contents
from tq_cert.evidence.verification.faults import RejectedError
from tq_cert.evidence.verification.report import Report
from tq_cert.evidence.verification.verify import verify
from tq_cert.lanes.tables import Grid
from tq_cert.report.bundle_charts import chart_sections
from tq_cert.report.errors import FaultyBundleError
from tq_cert.report.page import Page, Section
from tq_contract import load

ABOUT = (
    "TurboQuant for MLX stores the KV cache of a language model, which grows with every token of its context, in 3 to "
    "5 bits per value instead of 16. This page shows one run of its certification: what was measured, on what, and "
    "whether it kept the limits that the project's contract sets."
)
MEANING = {
    "passed": "Everything that the contract asks for was measured on real Apple hardware and kept its limits.",
    "failed": "At least one stage did not keep its limits.",
    "refused": "The machine or the installation was not one that can be certified.",
    "incomplete": "Something that the contract asks for was not measured.",
    "rehearsal": "The same measurements on a machine that cannot be certified: it shows that they run, and never "
    "stands for an Apple result.",
}
OUTCOMES = (
    "held: every gate was kept and every check passed. impossible: it cannot be run on this hardware, which only a "
    "rehearsal may say. incomplete: it was not run."
)


def page_of_bundle(bundle: Path) -> Page:
    """The page of a bundle's directory or zip file.

    Raises:
        FaultyBundleError: it has faults; nothing in it can be trusted, and nothing of it is shown.
    """
    report = verify(bundle)
    if report.verdict is None:
        raise FaultyBundleError(str(bundle), [str(fault) for fault in report.faults])
    try:
        files = read_contents(bundle)
        manifest = parts.read_manifest(files)
        records = tuple(parts.read_stage(files, link.path) for link in parts.read_links(files))
    except RejectedError as rejected:  # changed since it was verified
        raise FaultyBundleError(str(bundle), [str(fault) for fault in rejected.faults]) from rejected
    return Page(
        title="TurboQuant for MLX: certification",
        verdict=report.verdict.name,
        summary=summary(report, report.verdict),
        facts=facts(manifest, report),
        sections=(
            Section(
                "Stages",
                "Derived from the raw measurements when this page was made, not read from the bundle.",
                grids=(stage_grid(report.verdict, records),),
            ),
            *chart_sections(manifest.families, {record.stage: record.series for record in records}),
            Section(
                "Gates",
                "Every bound that the contract sets, and what was measured against it.",
                grids=(gate_grid(report.verdict), metric_grid(report.verdict)),
            ),
        ),
    )


def summary(report: Report, verdict: Verdict) -> tuple[str, ...]:
    """The verdict in words, and what keeps it from passing."""
    signed = f"Signed by the key {report.signer}." if report.signer else "It is not signed."
    return (
        ABOUT,
        MEANING[verdict.name],
        f"The bundle is intact. {signed}",
        *(f"Not passed: {reason}" for reason in verdict.reasons),
    )


def facts(manifest: Manifest, report: Report) -> tuple[tuple[str, str], ...]:
    """What was certified, on what."""
    machine = manifest.environment
    return (
        ("release", manifest.release),
        ("commit", manifest.commit or "not known"),
        ("policy", manifest.policy),
        ("measured", f"{manifest.created} to {manifest.sealed}"),
        ("machine", f"{machine.hardware}, {machine.device}, {machine.memory_bytes / 2**30:.0f} GiB"),
        ("system", f"{machine.system} {machine.system_version}, {machine.machine}, {machine.backend}"),
        ("versions", f"Python {machine.python}, mlx {machine.mlx}, mlx-lm {machine.mlx_lm}"),
        ("contract", manifest.contract_sha256),
        *(
            (f"model, {model.family}", f"{model.name}, {model.dtype}, weights SHA-256 {model.weights_sha256}")
            for model in manifest.models
        ),
        *(("wheel", f"{name}, SHA-256 {sha256}") for name, sha256 in report.wheels.items()),
    )


def stage_grid(verdict: Verdict, records: Sequence[StageRecord]) -> Grid:
    shows = {stage.name: stage.summary for stage in load().certification.stages}
    return Grid(
        "Every stage",
        ("stage", "what it shows", "outcome", "gates kept", "problems"),
        tuple(stage_cells(stage, shows.get(stage.stage, "")) for stage in verdict.stages),
        (f"{len(records)} of {len(verdict.stages)} stages have a record. {OUTCOMES}",),
    )


def stage_cells(stage: StageOutcome, shows: str) -> tuple[str, ...]:
    return stage.stage, shows, stage.outcome, stage.gates_kept, "; ".join(stage.problems)


def gate_grid(verdict: Verdict) -> Grid:
    return Grid(
        "Every gate",
        ("stage", "metric", "family", "preset", "value", "limit", "samples", "kept"),
        tuple(
            (
                stage.stage,
                gate.metric,
                gate.family or "",
                gate.preset or "",
                "" if gate.value is None else f"{gate.value:.4g}",
                gate.wanted,
                str(gate.samples),
                "yes" if gate.kept else "NO",
            )
            for stage in verdict.stages
            for gate in stage.gates
        ),
        (),
    )


def metric_grid(verdict: Verdict) -> Grid:
    named = {gate.metric for stage in verdict.stages for gate in stage.gates}
    metrics = (metric for metric in load().certification.metrics if metric.name in named)
    return Grid(
        "What the metrics are",
        ("metric", "unit", "meaning"),
        tuple((metric.name, metric.unit, metric.summary) for metric in metrics),
        (),
    )
