"""The contract's records: every field of `contract.json`, its type and its range.

The records are the only description of the file's shape. The strict loader walks them
(`conform.py`) and the published JSON Schema is generated from them (`schema.py`). What no single
field can say, such as "names are unique", is in `rules.py`.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from tq_contract.checkout_records import Package, Workflow
from tq_contract.unknown_names import UnknownFamilyError, UnknownPresetError
from tq_contract.window import CLOSED_WINDOW, OPEN_WINDOW

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Name: TypeAlias = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$")]
ModelType: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Identifier: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
ModulePath: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
Release: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
OpenWindow: TypeAlias = Annotated[str, Meta(pattern=OPEN_WINDOW)]
ClosedWindow: TypeAlias = Annotated[str, Meta(pattern=CLOSED_WINDOW)]
Tokens: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
BlockTokens: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
SketchRows: TypeAlias = Annotated[int, Meta(ge=1, le=65536)]
GainGroup: TypeAlias = Annotated[int, Meta(ge=1, le=1024)]
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]

Gain: TypeAlias = Literal["norm", "least_squares", "norm_preserving"]
Radius: TypeAlias = Literal["norm", "least_squares"]
Classification: TypeAlias = Literal["paper-facing", "supported", "compatibility-only", "research-only"]


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """What all records share: immutable, and every field is written out in the file."""


class RotationSpec(Record, frozen=True):
    """The orthogonal map applied before quantizing."""

    kind: Literal["hadamard", "random_orthogonal", "identity"]
    seed: Seed


class MseSpec(Record, frozen=True, tag_field="codec", tag="mse"):
    """TurboQuant_mse: each rotated coordinate rounded to the Lloyd-Max codebook."""

    bits: Annotated[int, Meta(ge=1, le=8)]
    gain: Gain
    scale_search: bool
    gain_group: GainGroup | None
    rotation: RotationSpec

    @property
    def label(self) -> str:
        """The codec in two words, for tables."""
        return f"mse {self.bits}"


class UniformSpec(Record, frozen=True, tag_field="codec", tag="uniform"):
    """An evenly spaced grid in MLX's own affine layout, at the bit widths MLX has."""

    bits: Literal[2, 3, 4, 5, 6, 8]
    gain: Gain
    scale_search: bool
    gain_group: GainGroup | None
    rotation: RotationSpec

    @property
    def label(self) -> str:
        """The codec in two words, for tables."""
        return f"uniform {self.bits}"


class ProdSpec(Record, frozen=True, tag_field="codec", tag="prod"):
    """TurboQuant_prod: Lloyd-Max codes of one bit less, and a one-bit sketch of the residual."""

    bits: Annotated[int, Meta(ge=1, le=8)]
    sketch_rows: SketchRows | None
    sketch_seed: Seed
    rotation: RotationSpec

    @property
    def label(self) -> str:
        """The codec in two words, for tables."""
        return f"prod {self.bits}"


class PolarSpec(Record, frozen=True, tag_field="codec", tag="polar"):
    """PolarQuant: the angles of a recursive polar transform, level by level, and a radius per block."""

    level_bits: Annotated[tuple[Annotated[int, Meta(ge=1, le=8)], ...], Meta(min_length=1)]
    gain: Radius
    rotation: RotationSpec

    @property
    def label(self) -> str:
        """The codec in two words, for tables."""
        return f"polar {self.level_bits[0]}"


class TopkSpec(Record, frozen=True, tag_field="codec", tag="topk"):
    """Group-wise affine codes with the largest residuals of each group kept; for historical configurations."""

    bits: Annotated[int, Meta(ge=1, le=8)]
    group_size: Annotated[int, Meta(ge=2, le=256)]
    k: Annotated[int, Meta(ge=1, le=256)]
    rotation: RotationSpec

    @property
    def label(self) -> str:
        """The codec in two words, for tables."""
        return f"topk {self.bits}"


CodecSpec: TypeAlias = MseSpec | UniformSpec | ProdSpec | PolarSpec | TopkSpec


class MeanBitsSpec(Record, frozen=True, tag_field="kind", tag="mean"):
    """Equal-noise key bits within a budget: their mean over the layers."""

    mean: Annotated[float, Meta(ge=2, le=8)]


class KeyNoiseSpec(Record, frozen=True, tag_field="kind", tag="noise"):
    """Equal-noise key bits by a target: the root mean square error of a key."""

    error: Annotated[float, Meta(ge=1e-6, le=1e6)]


KeyBitsSpec: TypeAlias = MeanBitsSpec | KeyNoiseSpec


class Parameters(Record, frozen=True):
    """Everything that a preset fixes."""

    keys: CodecSpec
    values: CodecSpec
    center_keys: bool
    sink_tokens: Tokens
    tail_tokens: Tokens
    block_tokens: BlockTokens
    key_bits: KeyBitsSpec | None


class Preset(Record, frozen=True):
    """A named set of parameters and what may be claimed of it."""

    name: Name
    classification: Classification
    aliases: tuple[Name, ...]
    summary: Text
    parameters: Parameters


class Family(Record, frozen=True):
    """A model family, whether compression is allowed for it, and how deep its evidence goes."""

    name: Name
    status: Literal["allowlisted", "research-only"]
    evidence: Literal["stronger", "narrower", "none"]
    model_types: Annotated[tuple[ModelType, ...], Meta(min_length=1)]
    coverage: tuple[Text, ...]

    @property
    def allowlisted(self) -> bool:
        """Whether the runtime may compress this family's cache."""
        return self.status == "allowlisted"


class Platform(Record, frozen=True):
    """A machine kind; only a certified one can carry an Apple result."""

    system: Literal["Darwin", "Linux"]
    machine: Literal["arm64", "x86_64", "aarch64"]
    backend: Literal["metal", "cpu", "cuda"]
    role: Literal["certified", "tested"]


class Windows(Record, frozen=True):
    """The versions that the project works with, each `>=A` or `>=A,<B`."""

    python: OpenWindow
    mlx: ClosedWindow
    mlx_lm: ClosedWindow


class Hook(Record, frozen=True):
    """An upstream function that is replaced, and the parameters that the replacement relies on."""

    module: ModulePath
    name: Identifier
    parameters: Annotated[tuple[Identifier, ...], Meta(min_length=1)]


class State(Record, frozen=True):
    """The form in which a cache is persisted."""

    schema_version: Literal[4]


class Contract(Record, frozen=True):
    """The whole contract."""

    contract_version: Literal[1]
    release: Release
    windows: Windows
    platforms: Annotated[tuple[Platform, ...], Meta(min_length=1)]
    families: Annotated[tuple[Family, ...], Meta(min_length=1)]
    presets: Annotated[tuple[Preset, ...], Meta(min_length=1)]
    hooks: Annotated[tuple[Hook, ...], Meta(min_length=1)]
    state: State
    packages: Annotated[tuple[Package, ...], Meta(min_length=1)]
    workflows: Annotated[tuple[Workflow, ...], Meta(min_length=1)]

    def preset(self, name: str) -> Preset:
        """Return the preset of this name or alias.

        Raises:
            UnknownPresetError: no preset is called so.
        """
        for preset in self.presets:
            if name == preset.name or name in preset.aliases:
                return preset
        known = (known for preset in self.presets for known in (preset.name, *preset.aliases))
        raise UnknownPresetError(name, tuple(known))

    def family(self, name: str) -> Family:
        """Return the family of this name, whatever its status.

        Raises:
            UnknownFamilyError: no family is called so.
        """
        for family in self.families:
            if name == family.name:
                return family
        raise UnknownFamilyError(name, tuple(family.name for family in self.families))

    def family_of(self, model_type: str) -> Family | None:
        """Return the family that an mlx-lm `model_type` belongs to, whatever its status."""
        for family in self.families:
            if model_type in family.model_types:
                return family
        return None
