"""One decode step of a model with a preset, beside the coding of one block on all of its layers."""

from dataclasses import dataclass
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.lanes.encode.record import StepRow
from tq_cert.lanes.encode.settings import EncodeSettings
from tq_cert.lanes.errors import UnservedMethodError
from tq_cert.lanes.models import LoadedModel
from tq_cert.lanes.prefill import prefilled
from tq_cert.lanes.turns import Job, clocked_in_turns
from tq_cert.progress import Progress
from tq_mlx.kernels.asked import attention_path, dialect

CHUNK = 512
"""Tokens of the prompt that are fed at a time."""

VOCABULARY = 100
"""Token ids that every model has; which ones are fed changes no timing."""


@dataclass(frozen=True)
class Prepared:
    """One preset on the model.

    Attributes:
        caches: hold the context; decoding reads them.
        coders: compressed caches of the same tokens apart from these, which take one block after another.
        blocks: keys and values [B, H, block_tokens, D] that each of them takes.
        block_tokens: that are coded at a time.
    """

    caches: list[Any]
    coders: list[tq_mlx.TurboQuantKVCache]
    blocks: list[tuple[mx.array, mx.array]]
    block_tokens: int


def step_rows(loaded: LoadedModel, settings: EncodeSettings, progress: Progress) -> tuple[StepRow, ...]:
    """Time a decode step and the coding of a block with every preset.

    Raises:
        UnservedMethodError: the context leaves nothing coded.
        tq_core.TurboQuantError: the runtime refuses the model.
    """
    prepared: dict[str, Prepared] = {}
    progress.phase("prefill", len(settings.presets))
    for name in settings.presets:
        prepared[name] = prepare(loaded.model, name, settings.context, research=settings.research)
        progress.reach(len(prepared))
    jobs: dict[tuple[str, str], Job] = {}
    for name, ready in prepared.items():
        jobs[name, "step"] = decode_step(loaded.model, ready.caches)
        jobs[name, "block"] = block_coding(ready.coders, ready.blocks)
        if dialect() is not None:
            jobs[name, "reference"] = without_kernels(jobs[name, "block"])
    progress.phase("decode steps", settings.repeats + 1)
    timings = clocked_in_turns(jobs, settings.repeats, progress)
    return tuple(
        StepRow(
            preset=name,
            compressed_layers=len(ready.coders),
            layers=len(ready.caches),
            block_tokens=ready.block_tokens,
            step=timings[name, "step"],
            block=timings[name, "block"],
            share=timings[name, "block"].median / ready.block_tokens / timings[name, "step"].median,
            reference=timings.get((name, "reference")),
        )
        for name, ready in prepared.items()
    )


def prepare(model: Any, preset: str, context: int, *, research: bool = False) -> Prepared:
    """Prefill twice, keep each layer's newest block, compress."""
    config = tq_mlx.TurboQuantConfig.from_preset(preset)
    least = config.sink_tokens + config.tail_tokens + config.block_tokens
    if context < least:
        problem = f"a context of {context} tokens leaves nothing coded"
        raise UnservedMethodError(preset, problem, f"use --context {least} or more")
    family = tq_mlx.family_of(model)
    tokens = [index % VOCABULARY for index in range(context)]
    caches, others = prefilled(model, tokens, CHUNK), prefilled(model, tokens, CHUNK)
    newest = [newest_block(cache, config.block_tokens) for cache in others]
    for layers in (caches, others):
        tq_mlx.upgrade_cache_list(layers, config=config, model_family=family, research=research)
    coders = [cache for cache in others if isinstance(cache, tq_mlx.TurboQuantKVCache)]
    blocks = [block for cache, block in zip(others, newest, strict=True) if isinstance(cache, tq_mlx.TurboQuantKVCache)]
    mx.eval(blocks)
    return Prepared(caches, coders, blocks, config.block_tokens)


def newest_block(cache: Any, tokens: int) -> tuple[mx.array, mx.array]:
    """Copies of the newest keys and values of a dense cache."""
    end = min(cache.offset, cache.keys.shape[-2])
    newest = slice(end - tokens, end)
    return mx.contiguous(cache.keys[..., newest, :]), mx.contiguous(cache.values[..., newest, :])


def decode_step(model: Any, caches: list[Any]) -> Job:
    """Decode one token and forget it, so that every step finds the same context and none codes a block."""

    def step() -> mx.array:
        logits = model(mx.zeros((1, 1), dtype=mx.int32), cache=caches)
        mx.eval(logits)
        for cache in caches:
            if cache.is_trimmable():  # a full ring is not, and costs the same after any number of tokens
                cache.trim(1)
        return logits

    return step


def block_coding(coders: list[tq_mlx.TurboQuantKVCache], blocks: list[tuple[mx.array, mx.array]]) -> Job:
    """Append a block to every compressed layer, which makes each of them code its oldest block."""

    def code() -> list[Any]:
        for cache, (keys, values) in zip(coders, blocks, strict=True):
            cache.append(keys, values)
            cache.compress_overflow()
        return [cache.state for cache in coders]

    return code


def without_kernels(job: Job) -> Job:
    """The same job by the reference."""

    def run() -> Any:
        with attention_path("reference"):
            return job()

    return run
