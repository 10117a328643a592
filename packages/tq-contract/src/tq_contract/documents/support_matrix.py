"""docs/generated/support_matrix.md: families and presets, and what each preset costs at every head dimension."""

from collections.abc import Callable

from tq_contract.documents.markdown import code, codes, document, table
from tq_contract.documents.wording import compression, stored_bits
from tq_contract.records import Contract, Preset
from tq_contract.stored_bits import DENSE_BITS

FORMULAS = """\
D is the head dimension, b the bits of a code, ⌈x⌉₃₂ is x rounded up to a multiple of 32 (codes fill 32-bit words) and
⌈x⌉₈ to one of 8. Every gain, radius, norm, scale, bias and residual is a bfloat16 of 16 bits. Stored bits per vector:

| codec | keys or values of one token and head |
|---|---|
| `mse`, `uniform` | ⌈D·b⌉₃₂ + 16 · (gains: 1, or D over the group) |
| `prod` | ⌈D·(b − 1)⌉₃₂ + 16 + ⌈rows⌉₃₂ + 16; with b = 1 the sketch alone |
| `polar` | ⌈Σ over levels ℓ of bits(ℓ)·D/2^ℓ⌉₈ + 16 · D/2^levels |
| `topk` | ⌈D·b⌉₃₂ + ⌈groups·k·⌈log₂ group⌉⌉₃₂ + 16 · groups·(2 + k) |

A preset with a mean key per block of tokens stores one more coded key for each block."""


def render(contract: Contract) -> str:
    """Return the document."""
    return document(
        "Support matrix",
        "## Families and presets\n\n" + _families(contract),
        "Which certification stages run a preset on a family. Every preset is accepted for every allowlisted family, "
        "and by opt-in for a research-only one; a dash means that no stage looks at the pair.\n\n" + _stages(contract),
        "## What a preset stores\n\nStored bits per value of a coded token, the mean of keys and values, everything "
        "included. Presets with key bits chosen per layer are counted at the mean that they may have.\n\n"
        + _by_head_dim(contract, stored_bits),
        f"## Compression\n\nAgainst {DENSE_BITS}-bit values, for coded tokens alone: sink and tail tokens stay dense "
        "and come on top.\n\n" + _by_head_dim(contract, compression),
        "## How it is computed\n\n" + FORMULAS,
        "The implementation is `tq_contract/stored_bits.py`; a test holds it against the codecs' own "
        "`bits_per_value` for every preset and head dimension.",
    )


def _families(contract: Contract) -> str:
    rows = [(one.name, one.status, one.evidence, codes(one.model_types)) for one in contract.families]
    return table(("family", "status", "evidence", "model types"), rows)


def _stages(contract: Contract) -> str:
    families = [family.name for family in contract.families]
    rows = [
        (code(preset.name), preset.classification, *(_stages_of(contract, preset, name) for name in families))
        for preset in contract.presets
    ]
    return table(("preset", "classification", *families), rows)


def _stages_of(contract: Contract, preset: Preset, family: str) -> str:
    stages = contract.certification.stages
    return codes(one.name for one in stages if family in one.families and preset.name in one.presets)


def _by_head_dim(contract: Contract, figure: Callable[[Preset, int], str]) -> str:
    dims = contract.head_dims
    heading = ("preset", *(f"D = {dim}" for dim in dims))
    rows = [(code(preset.name), *(figure(preset, dim) for dim in dims)) for preset in contract.presets]
    return table(heading, rows, right=range(1, len(heading)))
