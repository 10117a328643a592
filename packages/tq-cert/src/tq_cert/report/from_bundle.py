"""A page of an evidence bundle: the verdict as derived here, every stage and gate, and charts of the raw samples."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.stage_record import Series, StageRecord
from tq_cert.evidence.verdict import StageOutcome, Verdict
from tq_cert.evidence.verification import parts
from tq_cert.evidence.verification.contents import read_contents
from tq_cert.evidence.verification.faults import RejectedError
from tq_cert.evidence.verification.report import Report
from tq_cert.evidence.verification.verify import verify
from tq_cert.lanes.quality.statistics import mean, quantile
from tq_cert.lanes.tables import Grid
from tq_cert.report.errors import UnreadableBundleError
from tq_cert.report.page import Chart, Curve, Page, Point, Section

MEANING = {
    "passed": "Everything that the contract asks for was measured on real Apple hardware and kept its limits.",
    "failed": "At least one stage did not keep its limits.",
    "refused": "The machine or the installation was not one that can be certified.",
    "incomplete": "Something that the contract asks for was not measured.",
    "rehearsal": "The same measurements on a machine that cannot be certified: it shows that they run, and never "
    "stands for an Apple result.",
}
DENSE, BASELINE = "dense", "mlx-lm 4 bits"


def page_of_bundle(bundle: Path) -> Page:
    """The page of a bundle's directory or zip file.

    Raises:
        UnreadableBundleError: its faults leave no verdict to derive.
    """
    report = verify(bundle)
    if report.verdict is None:
        raise UnreadableBundleError(str(bundle), [str(fault) for fault in report.faults])
    try:
        files = read_contents(bundle)
        manifest = parts.read_manifest(files)
        records = tuple(parts.read_stage(files, link.path) for link in parts.read_links(files))
    except RejectedError as rejected:  # changed since it was verified
        raise UnreadableBundleError(str(bundle), [str(fault) for fault in rejected.faults]) from rejected
    series = [one for record in records for one in record.series]
    return Page(
        title="TurboQuant for MLX: certification",
        verdict=report.verdict.name,
        intact=not report.faults,
        summary=summary(report, report.verdict),
        facts=facts(manifest, report),
        sections=(
            Section(
                "Stages",
                "Derived from the raw measurements when this page was made, not read from the bundle.",
                grids=(stage_grid(report.verdict, records), gate_grid(report.verdict)),
            ),
            *chart_sections(series),
        ),
    )


def summary(report: Report, verdict: Verdict) -> tuple[str, ...]:
    """The verdict in words, what keeps it from passing, and what is wrong with the bundle."""
    intact = "The bundle is intact." if not report.faults else "THE BUNDLE IS NOT INTACT: nothing below can be trusted."
    signed = f"Signed by the key {report.signer}." if report.signer else "It is not signed."
    return (
        MEANING[verdict.name],
        f"{intact} {signed}",
        *(f"Fault: {fault}" for fault in report.faults),
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
    by_name = {record.stage: record for record in records}
    return Grid(
        "Every stage",
        ("stage", "outcome", "gates kept", "problems"),
        tuple(stage_cells(stage) for stage in verdict.stages),
        (f"{len(by_name)} of {len(verdict.stages)} stages have a record.",),
    )


def stage_cells(stage: StageOutcome) -> tuple[str, ...]:
    kept = f"{sum(gate.kept for gate in stage.gates)} of {len(stage.gates)}" if stage.gates else ""
    return stage.stage, stage.outcome, kept, "; ".join(stage.problems)


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
                f"{gate.bound.replace('_', ' ')} {gate.limit:g}",
                str(gate.samples),
                "yes" if gate.kept else "NO",
            )
            for stage in verdict.stages
            for gate in stage.gates
        ),
        (),
    )


def chart_sections(series: Sequence[Series]) -> Iterator[Section]:
    """What the samples show, of every family that has them."""
    families = sorted({one.family for one in series if one.family})
    for title, text, charts in (
        ("Quality against size", "KL of every preset from the uncompressed model; 0 is no difference.", kl_charts),
        ("Size and speed against context", "The same prompts with dense and compressed caches.", context_charts),
        ("Error by layer", "Decoded keys and values against those that went in.", layer_charts),
    ):
        drawn = tuple(chart for family in families for chart in charts(family, series))
        if drawn:
            yield Section(title, text, drawn)


def kl_charts(family: str, series: Sequence[Series]) -> Iterator[Chart]:
    kls, bits = samples(series, "kl", family), samples(series, "stored_bits", family)
    curves = tuple(
        Curve(preset or "", (Point(mean(bits[preset]), mean(values)),), line=False)
        for preset, values in kls.items()
        if preset in bits and mean(values) > 0
    )
    if curves:
        sentence = "Mean over all positions that were measured."
        yield Chart(
            f"KL against stored bits: {family}", sentence, "stored bits per value", "mean KL, nats", curves, log_y=True
        )


def context_charts(family: str, series: Sequence[Series]) -> Iterator[Chart]:
    for title, name, y, scale in (
        ("Cache bytes", "cache_bytes", "MB", 1e-6),
        ("Peak memory", "peak_bytes", "MB", 1e-6),
        ("Time per token", "decode_seconds", "ms", 1e3),
    ):
        labels: tuple[tuple[str, Callable[[Series], str]], ...] = (
            (name, lambda one: one.preset or ""),
            (f"dense_{name}", lambda one: DENSE),
            (f"baseline_{name}", lambda one: BASELINE),
        )
        curves: dict[str, dict[int, list[float]]] = {}
        for wanted, label in labels:
            for one in series:
                if one.name == wanted and one.family == family and one.context is not None:
                    curves.setdefault(label(one), {}).setdefault(one.context, []).extend(one.values)
        if curves:
            yield Chart(
                title=f"{title} against context: {family}",
                sentence="Medians; bars from the first to the third quartile.",
                x="tokens",
                y=y,
                curves=tuple(Curve(label, quartiles(points, scale)) for label, points in curves.items()),
                log_x=True,
            )


def quartiles(points: dict[int, list[float]], scale: float) -> tuple[Point, ...]:
    """The median of the samples at every context, between their quartiles."""

    def point(context: int, values: list[float]) -> Point:
        low, middle, high = (scale * quantile(values, share) for share in (0.25, 0.5, 0.75))
        return Point(context, middle, low, high)

    return tuple(point(context, values) for context, values in sorted(points.items()))


def layer_charts(family: str, series: Sequence[Series]) -> Iterator[Chart]:
    for side in ("key", "value"):
        curves = tuple(
            Curve(preset or "", tuple(Point(index, value) for index, value in enumerate(values)))
            for preset, values in samples(series, f"{side}_error", family).items()
        )
        if curves:
            yield Chart(
                title=f"Error of the {side}s by layer: {family}",
                sentence="Squared error over squared norm, of the compressed layers in their order.",
                x="compressed layer",
                y="relative squared error",
                curves=curves,
            )


def samples(series: Sequence[Series], name: str, family: str) -> dict[str | None, list[float]]:
    """All samples of a quantity by preset."""
    found: dict[str | None, list[float]] = {}
    for one in series:
        if one.name == name and one.family == family:
            found.setdefault(one.preset, []).extend(one.values)
    return found
