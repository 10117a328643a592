"""The README's tables of presets and families, which stand between markers."""

from tq_contract.documents.markdown import NOTHING, code, codes, table
from tq_contract.documents.wording import codec_in_words, keys_in_words, stored_bits
from tq_contract.records import Contract

HEAD_DIM = 64
"""For the README's one figure; the support matrix has the others."""


def presets(contract: Contract) -> str:
    """Return the table of presets, ours first."""
    ordered = sorted(contract.presets, key=lambda preset: preset.classification != "supported")
    rows = [
        (
            " or ".join(map(code, (preset.name, *preset.aliases))),
            preset.classification,
            keys_in_words(preset.parameters),
            codec_in_words(preset.parameters.values),
            stored_bits(preset, HEAD_DIM),
        )
        for preset in ordered
    ]
    heading = ("preset", "classification", "keys", "values", f"bits stored per value at D = {HEAD_DIM}")
    return table(heading, rows, right=[4])


def families(contract: Contract) -> str:
    """Return the table of families."""
    rows = [
        (one.name, one.status, one.evidence, codes(one.model_types), ", ".join(one.coverage) or NOTHING)
        for one in contract.families
    ]
    return table(("family", "status", "evidence depth", "model types", "certification has to show"), rows)
