"""What tq-mlx plan found: the model's caches, and their cost dense and under each preset."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import tq_contract
from tq_core import TurboQuantError
from tq_mlx.config import TurboQuantConfig
from tq_mlx.model_shape import LayerShape, ModelShape
from tq_mlx.plan import LONGEST, CompressedPlan, DensePlan, compressed_plan


@dataclass(frozen=True)
class PresetPlan:
    """One preset: its plan, or why the support gate refuses it for this model."""

    preset: str
    plan: CompressedPlan | None
    refusal: str | None = None


@dataclass(frozen=True)
class PlanReport:
    """Everything that was found.

    Attributes:
        shape: the model's caches.
        dense: the plan without compression.
        presets: the plans with it.
        contexts: tokens held, ascending.
        memory: bytes for the cache, if they were named.
    """

    shape: ModelShape
    dense: DensePlan
    presets: tuple[PresetPlan, ...]
    contexts: tuple[int, ...]
    memory: int | None

    @property
    def family(self) -> str | None:
        """Name of the contract's family of the model, whatever its status."""
        family = tq_contract.load().family_of(self.shape.model_type)
        return family.name if family else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "model_type": self.shape.model_type,
            "model_family": self.family,
            "dtype": self.shape.dtype,
            "max_context": self.shape.max_context,
            "memory_bytes": self.memory,
            "longest_context_considered": LONGEST,
            "layers": [layer_dict(index, layer) for index, layer in enumerate(self.shape.layers)],
            "dense": self.costs(self.dense),
            "presets": [self.preset_dict(entry) for entry in self.presets],
        }

    def preset_dict(self, entry: PresetPlan) -> dict[str, Any]:
        """Return one preset's plan as JSON values."""
        named = {"preset": entry.preset, "refusal": entry.refusal}
        if entry.plan is None:
            return named
        return named | {
            "layers": [asdict(verdict) for verdict in entry.plan.verdicts],
            "bits_per_value": entry.plan.bits_per_value,
            "upper_bound": entry.plan.is_bound,
            **self.costs(entry.plan),
        }

    def costs(self, plan: DensePlan | CompressedPlan) -> dict[str, Any]:
        """Return the bytes at each context, and the longest one where a memory was named, as JSON values."""
        contexts = [
            {"tokens": tokens, "bytes": plan.bytes_at(tokens), "ratio": self.ratio(plan, tokens)}
            for tokens in self.contexts
        ]
        longest = {} if self.memory is None else {"longest_context": plan.longest(self.memory)}
        return {"contexts": contexts} | longest

    def ratio(self, plan: DensePlan | CompressedPlan, tokens: int) -> float:
        """Return the plan's bytes over the dense ones; 1 for a model that stores nothing."""
        dense = self.dense.bytes_at(tokens)
        return plan.bytes_at(tokens) / dense if dense else 1.0


def plan_report(
    shape: ModelShape, configs: Sequence[TurboQuantConfig], contexts: tuple[int, ...], memory: int | None
) -> PlanReport:
    """Return the plans of a model under several configurations."""
    presets = tuple(preset_plan(shape, config) for config in configs)
    return PlanReport(shape, DensePlan(shape.layers), presets, contexts, memory)


def preset_plan(shape: ModelShape, config: TurboQuantConfig) -> PresetPlan:
    try:
        return PresetPlan(config.label, compressed_plan(shape, config))
    except TurboQuantError as error:
        return PresetPlan(config.label, None, str(error))


def layer_dict(index: int, layer: LayerShape) -> dict[str, Any]:
    parts = [{"kind": type(part).__name__.lower(), **asdict(part)} for part in layer.parts]
    return {"index": index, "cache": layer.cache, "parts": parts}
