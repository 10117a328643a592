"""docs/generated/family_evidence_matrix.md: which stage is the evidence for which family, and what gates nothing."""

from tq_contract.documents.markdown import NOTHING, code, document, table
from tq_contract.documents.wording import threshold_in_words
from tq_contract.records import Contract, Family, Stage


def render(contract: Contract) -> str:
    """Return the document."""
    return document(
        "Family evidence matrix",
        "## Release-gated\n\nWhat certification has to show before a release may claim a family. Nothing here says "
        "that it has been shown: that takes a certification bundle.\n\n" + _coverage(contract),
        "Stages that run each family:\n\n" + _stages(contract),
        "## Research-only\n\n" + _research(contract),
        *(f"## Bounds for {one.name}\n\n{_bounds(contract, one)}" for one in contract.families if one.allowlisted),
    )


def _coverage(contract: Contract) -> str:
    families = contract.families
    items = list(dict.fromkeys(item for family in families for item in family.coverage))
    rows = [(item, *(_evidence(contract, family, item) for family in families)) for item in items]
    heading = ("coverage", *(f"{family.name} ({family.evidence})" for family in families))
    return table(heading, rows)


def _evidence(contract: Contract, family: Family, item: str) -> str:
    if item not in family.coverage:
        return NOTHING
    stages = contract.certification.stages
    return ", ".join(code(stage.name) for stage in stages if family.name in stage.families and item in stage.covers)


def _stages(contract: Contract) -> str:
    families = contract.families
    rows = [
        (code(stage.name), *("gates" if family.name in stage.families else NOTHING for family in families))
        for stage in contract.certification.stages
        if stage.families
    ]
    return table(("stage", *(family.name for family in families)), rows)


def _research(contract: Contract) -> str:
    families = [family.name for family in contract.families if not family.allowlisted]
    lanes = [code(one.command) for one in contract.benchmarks if one.stage is None]
    return f"Families without a promise: {', '.join(families) or 'none'}. Lanes that gate nothing: {', '.join(lanes)}."


def _bounds(contract: Contract, family: Family) -> str:
    rows = [
        (code(stage.name), "; ".join(bounds))
        for stage in contract.certification.stages
        if (bounds := _bounds_of(stage, family))
    ]
    return table(("stage", "bounds"), rows)


def _bounds_of(stage: Stage, family: Family) -> list[str]:
    return [threshold_in_words(one) for one in stage.thresholds if family.name in one.families]
