"""What a stage runs on: the models in scope, the presets of the contract, and how much is measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tq_mlx  # first: it loads OpenBLAS before MLX is imported
from tq_cert.inspection.scope import ModelSource
from tq_cert.lanes.models import LoadedModel, load_model
from tq_cert.lanes.texts import cut, read_text
from tq_cert.progress import Silent
from tq_cert.stages.sizes import Sizes
from tq_contract import Stage


@dataclass
class Setting:
    """One stage's setting.

    Attributes:
        stage: as the contract has it.
        sources: the models in scope, by family.
        sizes: how much is measured.
        folder: for files that the stage needs and leaves to nobody.
    """

    stage: Stage
    sources: Mapping[str, ModelSource]
    sizes: Sizes
    folder: Path
    loaded: dict[str, LoadedModel] = field(default_factory=dict[str, LoadedModel])

    @property
    def families(self) -> tuple[str, ...]:
        """The stage's families that are in scope."""
        return tuple(family for family in self.stage.families if family in self.sources)

    def config(self, preset: str) -> tq_mlx.TurboQuantConfig:
        """The preset's configuration."""
        return tq_mlx.TurboQuantConfig.from_preset(preset)

    def model(self, family: str) -> LoadedModel:
        """The family's model, loaded once."""
        if family not in self.loaded:
            self.loaded[family] = load_model(self.model_name(family), Silent())
        return self.loaded[family]

    def model_name(self, family: str) -> str:
        """What the lanes call the family's model: a sample model's name, or a directory."""
        source = self.sources[family]
        return source.sample or source.directory

    def windows(self, family: str, *, context: int, windows: int = 1) -> tuple[tuple[int, ...], ...]:
        """Token ids of equally long windows of the text that comes with every Python."""
        return cut(read_text(None), self.model(family).tokenizer, context=context, windows=windows).tokens
