"""Whole decode steps of a model over caches that hold a synthetic context."""

from collections.abc import Callable
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx_lm.generate import maybe_quantize_kv_cache  # pyright: ignore[reportUnknownVariableType]
from mlx_lm.models.cache import QuantizedKVCache, make_prompt_cache

from tq_cert.lanes.decode.methods import QUANTIZED_BITS, QUANTIZED_GROUP
from tq_cert.lanes.decode.record import StepRow
from tq_cert.lanes.decode.settings import DENSE, QUANTIZED, DecodeSettings
from tq_cert.lanes.encode.step import decode_step
from tq_cert.lanes.models import LoadedModel
from tq_cert.lanes.turns import Job, timed_in_turns
from tq_cert.progress import Progress
from tq_core import TurboQuantError
from tq_mlx import TurboQuantConfig
from tq_mlx.compressed import CompressedCache

Caches = list[Any]


def step_rows(loaded: LoadedModel, settings: DecodeSettings, progress: Progress) -> list[StepRow]:
    """Time a decode step of every method at every context; those of one context in turns."""
    return [row for context in settings.step_contexts for row in rows_of(loaded, context, settings, progress)]


def rows_of(loaded: LoadedModel, context: int, settings: DecodeSettings, progress: Progress) -> list[StepRow]:
    """One context; a method that cannot serve the model gets a row that says why."""
    model, caches, problems = loaded.model, dict[str, Caches](), dict[str, str]()
    prepare = methods(model, settings.presets)
    jobs: dict[str, Job] = {}
    progress.phase(f"caches: {context} tokens", len(prepare))
    for method, compress in prepare.items():
        caches[method] = filled(model, context)
        try:
            compress(caches[method])
            step = decode_step(model, caches[method])
            step()
            jobs[method] = step
        except (RuntimeError, ValueError, NotImplementedError, TurboQuantError) as error:
            problems[method] = str(error).splitlines()[0]
        progress.reach(len(jobs) + len(problems))
    progress.phase(f"decode steps: {context} tokens", settings.repeats + 1)
    times = timed_in_turns(jobs, settings.repeats, progress)
    return [
        StepRow(
            method=method,
            context=context,
            compressed_layers=sum(isinstance(layer, QuantizedKVCache | CompressedCache) for layer in layers),
            layers=len(layers),
            cache_bytes=sum(layer.nbytes for layer in layers),
            times=times.get(method),
            problem=problems.get(method),
        )
        for method, layers in caches.items()
    ]


def methods(model: Any, presets: tuple[str, ...]) -> dict[str, Callable[[Caches], None]]:
    """Method → what it does to a list of the model's own caches."""

    def keep(caches: Caches) -> None:
        pass

    def quantize(caches: Caches) -> None:
        maybe_quantize_kv_cache(caches, 0, QUANTIZED_GROUP, QUANTIZED_BITS)

    def compress(preset: str) -> Callable[[Caches], None]:
        config, family = TurboQuantConfig.from_preset(preset), tq_mlx.family_of(model)

        def upgrade(caches: Caches) -> None:
            tq_mlx.upgrade_cache_list(caches, config=config, model_family=family)

        return upgrade

    return {DENSE: keep, QUANTIZED: quantize} | {f"preset:{name}": compress(name) for name in presets}


def filled(model: Any, context: int) -> Caches:
    """The model's own caches with a synthetic history: what is in it changes no timing."""
    caches: Caches = make_prompt_cache(model)
    mx.eval(model(mx.zeros((1, 1), dtype=mx.int32), cache=caches))
    for number, cache in enumerate(caches):
        draws = mx.random.split(mx.random.key(number), 2)
        parts = [
            mx.random.normal((*side.shape[:2], context - 1, side.shape[3]), key=draw).astype(side.dtype)
            for side, draw in zip((cache.keys, cache.values), draws, strict=True)
        ]
        mx.eval(cache.update_and_fetch(*parts))
    return caches
