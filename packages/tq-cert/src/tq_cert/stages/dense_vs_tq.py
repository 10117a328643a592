"""Dense and compressed side by side for short, medium and long prompts: time per token, peak memory, cache bytes.

One dense prefill per length is compressed to every method; then the methods decode in turn, a step each, forwards and
backwards, so that what else the machine does falls on all of them alike; times are compared with those of the same
turn. Bytes are those in use: live tokens, without growth capacity.
"""

import copy
import os
import time
from dataclasses import dataclass, field
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.lanes.prefill import Caches, prefilled
from tq_cert.lanes.quality.caches import quantized
from tq_cert.lanes.quality.methods import BASELINE, DENSE, MlxQuantized
from tq_cert.lanes.quality.statistics import quantile
from tq_cert.lanes.quality.stored_bits import used_bytes
from tq_cert.lanes.tables import Grid, markdown, megabytes
from tq_cert.stages.compressed_run import not_read, to_compress
from tq_cert.stages.recorder import At, Recorder
from tq_cert.stages.setting import Setting

BASELINE_METHOD = MlxQuantized(BASELINE, bits=4, group_size=64)
PREFIXES = {DENSE: "dense_", BASELINE: "baseline_"}
"""Of the names of series that a preset's are paired with."""

ARTIFACT = "stages/dense_vs_tq.md"
LOAD = "load_average"
"""Processes that ran or waited to run over the last minute: more than there are processors, and times say little."""


@dataclass
class Contestant:
    """One method at one length.

    Attributes:
        name: dense, the baseline's, or a preset's.
        caches: that hold the prompt.
        peak: highest memory that MLX held during its upgrade and its steps, without what was there before.
        seconds: of each timed step.
    """

    name: str
    caches: Caches
    peak: int
    seconds: list[float] = field(default_factory=list[float])


def measure(setting: Setting, recorder: Recorder) -> None:
    """Sweep every family."""
    rows: list[tuple[str, ...]] = []
    for family in setting.families:
        for length in (*setting.sizes.sweep_prompts, setting.sizes.long_prompt):
            with recorder.case(f"{family}: {length} tokens"):
                rows += sweep(setting, recorder, family, length)
    loads = [value for one in recorder.series if one.name == LOAD for value in one.values]
    recorder.artifacts[ARTIFACT] = markdown([grid(rows, loads)]).encode()


def sweep(setting: Setting, recorder: Recorder, family: str, length: int) -> list[tuple[str, ...]]:
    """Measure one family at one length; return its rows for people."""
    model, presets = setting.model(family).model, setting.stage.presets
    (tokens,) = setting.windows(family, context=length)
    started = time.perf_counter()
    dense = prefilled(model, tokens, setting.sizes.chunk)
    prefill_seconds = time.perf_counter() - started
    contestants = {name: contestant(name, dense, family) for name in (DENSE, BASELINE, *presets)}
    steps = setting.sizes.sweep_steps
    in_turn = tuple(contestants.values())
    for step in range(steps + 1):  # the first one warms up
        for one in in_turn if step % 2 else reversed(in_turn):
            seconds = decode_step(model, one)
            one.seconds += [seconds] if step else []
    at = At(family, context=length)
    recorder.add("prefill_seconds", "seconds", [prefill_seconds], at)
    recorder.add(LOAD, "processes", [os.getloadavg()[0]], at)
    for name, one in contestants.items():
        record(recorder, name, one, at)
    for preset in presets:
        unread = not_read(contestants[preset].caches, to_compress(dense), steps + 1)
        recorder.add("layers_not_read", "layers", [unread], at.with_preset(preset))
        recorder.add("prompt_tokens", "tokens", [length], at.with_preset(preset))
    mx.clear_cache()
    return [row(family, length, one, contestants[DENSE]) for one in contestants.values()]


def contestant(name: str, dense: Caches, family: str) -> Contestant:
    """A copy of the dense caches in the form of the method."""
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    caches = copy.deepcopy(dense)
    if name == BASELINE:
        caches = [quantized(cache, BASELINE_METHOD) for cache in caches]
    elif name != DENSE:
        config = tq_mlx.TurboQuantConfig.from_preset(name)
        tq_mlx.upgrade_cache_list(caches, config=config, model_family=family)
    mx.eval([cache.state for cache in caches])
    return Contestant(name, caches, mx.get_peak_memory() - before)


def decode_step(model: Any, one: Contestant) -> float:
    """Seconds of decoding one token."""
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    started = time.perf_counter()
    mx.eval(model(mx.array([[1]]), cache=one.caches))
    seconds = time.perf_counter() - started
    one.peak = max(one.peak, mx.get_peak_memory() - before)
    return seconds


def record(recorder: Recorder, name: str, one: Contestant, at: At) -> None:
    """Keep a contestant's samples under the names by which they are paired."""
    prefix, own = PREFIXES.get(name, ""), at if name in PREFIXES else at.with_preset(name)
    recorder.add(f"{prefix}decode_seconds", "seconds", one.seconds, own)
    recorder.add(f"{prefix}cache_bytes", "bytes", [used_bytes(one.caches)], own)
    recorder.add(f"{prefix}peak_bytes", "bytes", [one.peak], own)


def row(family: str, length: int, one: Contestant, dense: Contestant) -> tuple[str, ...]:
    """One line of the table."""
    median = quantile(one.seconds, 0.5)
    of_dense = quantile([own / other for own, other in zip(one.seconds, dense.seconds, strict=True)], 0.5)
    spread = (quantile(one.seconds, 0.75) - quantile(one.seconds, 0.25)) / 2
    used, against = used_bytes(one.caches), used_bytes(dense.caches)
    return (
        one.name,
        family,
        str(length),
        f"{1 / median:.1f}",
        f"{median * 1e3:.1f}",
        f"{spread * 1e3:.1f}",
        f"{of_dense:.2f}",
        megabytes(one.peak),
        megabytes(used),
        f"{used / against:.3f}",
    )


def grid(rows: list[tuple[str, ...]], loads: list[float]) -> Grid:
    """The table for people."""
    return Grid(
        title="Dense and compressed decoding side by side",
        headings=(
            *("method", "family", "prompt", "tokens/s", "ms per token", "± quartiles", "of dense"),
            *("peak MB", "cache MB used", "of dense"),
        ),
        rows=tuple(rows),
        notes=(
            "Methods decode in turn, one step each, behind the same prompt; of dense: median of the ratios of their "
            "times in one turn. Peak: MLX's counter during the method's own upgrade and steps, above what was held "
            "before. Cache: live tokens, without growth capacity.",
            f"Load average meanwhile: {min(loads, default=0):.1f} to {max(loads, default=0):.1f} on "
            f"{os.cpu_count()} processors. Beyond that number, times say little.",
        ),
    )
