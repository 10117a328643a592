"""Presets against mlx-lm's 4-bit cache on real text, short, medium and long: all layers, all tokens but sinks coded.

Of every position the record has the KL divergence from the dense run and whether the likeliest token changed.
"""

from functools import partial
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx_lm.models.cache import RotatingKVCache, make_prompt_cache

from tq_cert.lanes.quality import measure as lane
from tq_cert.lanes.quality.caches import build_caches, dense_caches
from tq_cert.lanes.quality.guards import check_codes_were_read
from tq_cert.lanes.quality.measure import Contender
from tq_cert.lanes.quality.methods import BASELINE, parse_method
from tq_cert.lanes.quality.settings import Scope
from tq_cert.stages.recorder import At, Recorder
from tq_cert.stages.setting import Setting


def measure(setting: Setting, recorder: Recorder) -> None:
    """Follow the dense run of every family through windows of every length."""
    for family in setting.families:
        for length in lengths(setting, family):
            windows = setting.windows(family, context=length, windows=setting.sizes.quality_windows)
            for index, tokens in enumerate(windows):
                with recorder.case(f"{family}: {length} tokens, window {index}"):
                    measure_window(setting, recorder, family, tokens, f"window {index}")


def lengths(setting: Setting, family: str) -> tuple[int, ...]:
    """The lengths of the windows, none longer than a sliding window: a plain cache would keep more than the layer."""
    caches: list[Any] = make_prompt_cache(setting.model(family).model)
    windows: list[int] = [cache.max_size for cache in caches if isinstance(cache, RotatingKVCache)]
    capped = (min(length, *windows) if windows else length for length in setting.sizes.quality_lengths)
    return tuple(dict.fromkeys(capped))


def measure_window(setting: Setting, recorder: Recorder, family: str, tokens: tuple[int, ...], prompt: str) -> None:
    """Feed one window, a chunk at a time, to the dense run and to everything that follows it."""
    model, chunk = setting.model(family).model, setting.sizes.chunk
    scope = Scope(context=len(tokens), windows=1, chunk=chunk, mode="stress", layers="all")
    names = {None: BASELINE} | {preset: f"preset:{preset}" for preset in setting.stage.presets}
    contenders = {
        preset: Contender(name, partial(build_caches, parse_method(name), model, scope), compresses=True)
        for preset, name in names.items()
    }
    all_of_them = tuple(contenders.values())
    with tq_mlx.hooks_installed():
        lane.measure_window(model, tokens, dense_caches(model, scope), all_of_them, chunk=chunk, step=lambda _: None)
    for preset, contender in contenders.items():
        record(recorder, preset, contender, At(family, preset, context=len(tokens), prompt=prompt))
    mx.clear_cache()
    for contender in all_of_them:
        check_codes_were_read(contender.name, contender.caches, contender.kl)


def record(recorder: Recorder, preset: str | None, contender: Contender, at: At) -> None:
    """Keep what a finished window gave; of the baseline, which is no preset, its divergence alone."""
    if preset is None:
        recorder.add("baseline_kl", "nats", contender.kl, at)
        return
    recorder.add("kl", "nats", contender.kl, at)
    recorder.add("flips", "share", [flip for part in contender.chunks for flip in part.flipped], at)
    recorder.add("stored_bits", "bits per value", [tq_mlx.status(contender.caches).bits_per_value or 0.0], at)
