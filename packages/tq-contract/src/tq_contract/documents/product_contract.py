"""docs/generated/product_contract.md: what the project promises, at the top level."""

from tq_contract.documents.markdown import NOTHING, bullets, code, codes, document, table
from tq_contract.documents.wording import ORIGINS, bound_in_words
from tq_contract.records import Contract


def render(contract: Contract) -> str:
    """Return the document."""
    return document(
        "Product contract",
        f"TurboQuant for MLX {contract.release}, contract version {contract.contract_version}. The file that this is "
        "generated from is `contract.json` in the package `tq-contract`; the runtime reads presets, families, version "
        "windows and hooks from the same file.",
        "## Entry point\n\n" + _entry_point(contract),
        "## Where it runs\n\n" + _platforms(contract),
        "## Model families\n\n" + _families(contract),
        "A family's coverage is what certification has to show for it, not what has been shown: see the evidence rule.",
        "## Evidence rule\n\n" + _evidence(contract),
        "## Certification stages\n\n" + _stages(contract),
        "## Thresholds\n\n" + _thresholds(contract),
        "## Metrics\n\n" + _metrics(contract),
        "## Deviations\n\n" + _deviations(contract),
        "## See also\n\n"
        "[Support matrix](support_matrix.md), [supported surface](supported-surface.md), "
        "[preset modes](preset_modes.md), [benchmark index](benchmark_index.md), "
        "[family evidence matrix](family_evidence_matrix.md).",
    )


def _entry_point(contract: Contract) -> str:
    entry = contract.entry_point
    call = code(f"{entry.module}.{entry.name}({', '.join(entry.parameters)})")
    return f"{call}: {entry.summary} Its state is of schema version {contract.state.schema_version}."


def _platforms(contract: Contract) -> str:
    windows = contract.windows
    rows = [(one.system, one.machine, one.backend, one.role) for one in contract.platforms]
    versions = f"Python {code(windows.python)}, mlx {code(windows.mlx)}, mlx-lm {code(windows.mlx_lm)}."
    return table(("system", "machine", "backend", "role"), rows) + f"\n\n{versions}"


def _families(contract: Contract) -> str:
    rows = [
        (one.name, one.status, one.evidence, codes(one.model_types), "; ".join(one.coverage) or NOTHING)
        for one in contract.families
    ]
    return table(("family", "status", "evidence", "model types", "coverage"), rows)


def _evidence(contract: Contract) -> str:
    evidence = contract.evidence
    return (
        f"{evidence.rule}\n\nWhat counts, made by the workflow {code(evidence.workflow)}:\n\n"
        f"{bullets(evidence.proofs)}\n\nNo wheel and no source distribution holds {codes(evidence.not_shipped)}."
    )


def _stages(contract: Contract) -> str:
    rows = [
        (code(one.name), one.summary, ", ".join(one.families) or NOTHING, codes(one.presets), codes(one.artifacts))
        for one in contract.certification.stages
    ]
    listed = table(("stage", "what it shows", "families", "presets", "artifacts"), rows)
    bundle = f"A bundle also holds {codes(contract.certification.bundle)}."
    return f"In this order. A stage without families needs no model.\n\n{listed}\n\n{bundle}"


def _thresholds(contract: Contract) -> str:
    rows = [
        (
            code(stage.name),
            code(one.metric),
            bound_in_words(one),
            ", ".join(one.families) or NOTHING,
            code(one.preset) if one.preset else "all",
            one.source,
            one.basis,
        )
        for stage in contract.certification.stages
        for one in stage.thresholds
    ]
    return table(("stage", "metric", "bound", "families", "preset", "source", "basis"), rows)


def _metrics(contract: Contract) -> str:
    rows = [(code(one.name), one.unit, one.summary) for one in contract.certification.metrics]
    return table(("metric", "unit", "what it is"), rows)


def _deviations(contract: Contract) -> str:
    rows = [
        (one.name.replace("_", " "), ORIGINS[one.of], one.says, one.does, one.because) for one in contract.deviations
    ]
    return table(("where", "of", "it says", "here", "because"), rows)
