"""The stages of certification, one module each: what it measures, as samples and checks, never a verdict.

A stage's module has the stage's name and a function `measure(setting, recorder)`. Which stages there are, in which
order and what they have to show, the contract says; the runner calls each in a process of its own.

What they share: `setting` and `sizes` (what there is to measure), `recorder` (what was measured), `compressed_run` and
`generation_smoke` (a model on compressed caches), `synthetic` (keys, values and queries drawn at random).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from tq_cert.stages.recorder import Recorder
    from tq_cert.stages.setting import Setting


class Measure(Protocol):
    """A stage's function."""

    def __call__(self, setting: "Setting", recorder: "Recorder") -> None:
        """Measure, and record it."""
        ...


SECONDS = {
    "preflight": 600,
    "cache_roundtrip": 600,
    "attention_equivalence": 900,
    "path_proof": 600,
    "llama_smoke": 1200,
    "gemma_smoke": 1200,
    "polarquant": 1200,
    "paper_mse_batch": 1200,
    "preset_quality": 5400,
    "long_context": 3600,
    "persistence": 1200,
    "memory": 3600,
    "dense_vs_tq": 3600,
    "kernels": 1800,
}
"""How long a stage may take before it is stopped: several times what it took on two busy cores of a small server."""


def function_of(stage: str) -> Measure:
    """The stage's function; imports MLX."""
    return cast("Measure", import_module(f"tq_cert.stages.{stage}").measure)
