"""What an edition of the policy holds: the contract's stages and bounds, and how each metric is computed."""

from typing import Annotated

from msgspec import Meta

from tq_cert.evidence.fields import EditionName, EvidenceRecord, FilePath, Name, Number, SchemaVersion, Sha256, Text
from tq_cert.evidence.metrics import Measure
from tq_contract.records.certification import Bound


class Gate(EvidenceRecord, frozen=True):
    """A bound on one metric, for these families of the stage and for this preset, or for all of the stage's presets."""

    metric: Name
    families: tuple[Name, ...]
    preset: Name | None
    bound: Bound
    value: Number


class StagePolicy(EvidenceRecord, frozen=True):
    """What one stage has to show, and which files it has to leave; its record and its XML always are among them."""

    name: Name
    families: tuple[Name, ...]
    presets: tuple[Name, ...]
    artifacts: tuple[FilePath, ...]
    gates: Annotated[tuple[Gate, ...], Meta(min_length=1)]


class FamilyPolicy(EvidenceRecord, frozen=True):
    """A family that has to be in scope, and mlx-lm's names of its architectures."""

    name: Name
    model_types: Annotated[tuple[Text, ...], Meta(min_length=1)]


class VersionWindows(EvidenceRecord, frozen=True):
    """Versions that a run may have."""

    python: Text
    mlx: Text
    mlx_lm: Text


class Edition(EvidenceRecord, frozen=True):
    """Everything that a verdict depends on, beside the measurements.

    Attributes:
        schema_version: of this record.
        edition: its name.
        release: of the packages that it judges.
        contract_sha256: of the contract that it was made from, and that a run has to go by.
        windows: of versions.
        distributions: whose wheels have to be installed, by name.
        families: allowlisted ones; a verdict of `passed` needs all of them.
        stages: in their order.
        measures: one for every metric that a gate bounds.
    """

    schema_version: SchemaVersion
    edition: EditionName
    release: Text
    contract_sha256: Sha256
    windows: VersionWindows
    distributions: Annotated[tuple[Text, ...], Meta(min_length=1)]
    families: Annotated[tuple[FamilyPolicy, ...], Meta(min_length=1)]
    stages: Annotated[tuple[StagePolicy, ...], Meta(min_length=1)]
    measures: Annotated[tuple[Measure, ...], Meta(min_length=1)]

    def stage(self, name: str) -> StagePolicy | None:
        """What the stage of this name has to show; None where there is no such stage."""
        return next((stage for stage in self.stages if stage.name == name), None)

    def measure(self, metric: str) -> Measure:
        """How the metric is computed."""
        return next(measure for measure in self.measures if measure.metric == metric)
