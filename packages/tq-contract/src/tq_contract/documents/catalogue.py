"""Every generated document, and every generated part of a written one, with its renderer."""

from collections.abc import Callable, Mapping

from tq_contract.documents import (
    benchmark_index,
    family_evidence_matrix,
    preset_modes,
    product_contract,
    readme_tables,
    support_matrix,
    supported_surface,
)
from tq_contract.records import Contract

Renderer = Callable[[Contract], str]

FOLDER = "docs/generated"

DOCUMENTS: Mapping[str, Renderer] = {
    f"{FOLDER}/benchmark_index.md": benchmark_index.render,
    f"{FOLDER}/family_evidence_matrix.md": family_evidence_matrix.render,
    f"{FOLDER}/preset_modes.md": preset_modes.render,
    f"{FOLDER}/product_contract.md": product_contract.render,
    f"{FOLDER}/support_matrix.md": support_matrix.render,
    f"{FOLDER}/supported-surface.md": supported_surface.render,
}
"""Path in the repository → renderer of the whole file."""

PARTS: Mapping[str, Mapping[str, Renderer]] = {
    "README.md": {"presets": readme_tables.presets, "families": readme_tables.families},
}
"""Path in the repository → name of a part, which stands between markers, → its renderer."""
