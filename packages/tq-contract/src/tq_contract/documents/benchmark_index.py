"""docs/generated/benchmark_index.md: the measurement lanes, which gate a release, and how figures are published."""

from tq_contract.documents.markdown import NOTHING, bullets, code, codes, document, table
from tq_contract.records import Benchmark, Contract


def render(contract: Contract) -> str:
    """Return the document."""
    return document(
        "Benchmark index",
        "A lane whose stage is named feeds that stage of certification; the others are research only, and no release "
        "depends on them. A planned lane does not exist yet.",
        "## Release-gated lanes\n\n" + _lanes([one for one in contract.benchmarks if one.stage is not None]),
        "## Research-only lanes\n\n" + _lanes([one for one in contract.benchmarks if one.stage is None]),
        "## Publication rules\n\n" + bullets(contract.publication.rules),
        "Fields that a report carries: " + codes(contract.publication.fields) + ".",
        "How the lanes measure is explained in [benchmark methodology](../benchmark_methodology.md).",
    )


def _lanes(lanes: list[Benchmark]) -> str:
    rows = [(code(one.command), one.status, code(one.stage) if one.stage else NOTHING, one.summary) for one in lanes]
    return table(("command", "status", "stage", "what it measures"), rows)
