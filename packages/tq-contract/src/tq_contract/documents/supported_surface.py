"""docs/generated/supported-surface.md: the canonical way in, the secondary ones, and what is not provided."""

from tq_contract.documents.markdown import bullets, code, document, table
from tq_contract.records import Contract


def render(contract: Contract) -> str:
    """Return the document."""
    entry = contract.entry_point
    call = code(f"{entry.module}.{entry.name}({', '.join(entry.parameters)})")
    families = ", ".join(family.name for family in contract.families if family.allowlisted)
    research = ", ".join(family.name for family in contract.families if not family.allowlisted)
    return document(
        "Supported surface",
        "## Canonical\n\n"
        f"{call}: {entry.summary} "
        f"It admits the families {families}; a family that the hooks can reach is not thereby supported. "
        f"Admitted only by an explicit opt-in, without evidence and without a promise: {research or 'none'}.",
        "## Secondary, supported\n\n" + _surfaces(contract, "supported"),
        "## For evaluation only\n\nThese pass by the support gate; nothing is promised of models outside it.\n\n"
        + _surfaces(contract, "evaluation-only"),
        "## Not provided\n\n" + _surfaces(contract, "not-provided"),
        "## Hooks\n\nFunctions of mlx-lm that importing `tq_mlx` replaces, and the parameters that the replacements "
        f"rely on. Outside mlx-lm {code(contract.windows.mlx_lm)}, or where a parameter is gone, nothing is replaced "
        "and an error says why.\n\n"
        + bullets(code(f"{hook.module}.{hook.name}({', '.join(hook.parameters)})") for hook in contract.hooks),
        "## State\n\n`TurboQuantKVCache.state` is of schema version "
        f"{contract.state.schema_version}; other versions are refused.",
    )


def _surfaces(contract: Contract, status: str) -> str:
    rows = [(code(one.name), one.kind, one.summary) for one in contract.secondary_surfaces if one.status == status]
    return table(("name", "kind", "what it is for"), rows)
