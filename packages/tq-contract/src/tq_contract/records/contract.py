"""The whole contract, and its look-ups."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from tq_contract.records.certification import Certification
from tq_contract.records.checkout import Package, Workflow
from tq_contract.records.deviations import Deviation
from tq_contract.records.evidence import Benchmark, EvidenceRule, Publication
from tq_contract.records.families import Family
from tq_contract.records.fields import Record
from tq_contract.records.presets import Preset
from tq_contract.records.runtime import EntryPoint, Hook, Platform, State, Surface, Windows
from tq_contract.unknown_names import UnknownFamilyError, UnknownPresetError

Release: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
HeadDim: TypeAlias = Annotated[int, Meta(ge=1, le=65536)]


class Contract(Record, frozen=True):
    """The whole contract."""

    contract_version: Literal[1]
    release: Release
    windows: Windows
    packages: Annotated[tuple[Package, ...], Meta(min_length=1)]
    workflows: Annotated[tuple[Workflow, ...], Meta(min_length=1)]
    head_dims: Annotated[tuple[HeadDim, ...], Meta(min_length=1)]
    platforms: Annotated[tuple[Platform, ...], Meta(min_length=1)]
    families: Annotated[tuple[Family, ...], Meta(min_length=1)]
    presets: Annotated[tuple[Preset, ...], Meta(min_length=1)]
    entry_point: EntryPoint
    secondary_surfaces: tuple[Surface, ...]
    hooks: Annotated[tuple[Hook, ...], Meta(min_length=1)]
    state: State
    certification: Certification
    evidence: EvidenceRule
    benchmarks: Annotated[tuple[Benchmark, ...], Meta(min_length=1)]
    publication: Publication
    deviations: tuple[Deviation, ...]

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
