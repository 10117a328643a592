"""Presets against mlx-lm's 4-bit cache on real text, short, medium and long: all layers, all tokens but sinks coded.

Of every position the record has the KL divergence from the dense run and whether the likeliest token changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx_lm.models.cache import RotatingKVCache, make_prompt_cache

from tq_cert.lanes.quality.caches import build_caches, dense_caches
from tq_cert.lanes.quality.guards import check_codes_were_read
from tq_cert.lanes.quality.measure import run_model
from tq_cert.lanes.quality.methods import Method, parse_method
from tq_cert.lanes.quality.settings import Scope
from tq_cert.stages.recorder import At, Recorder
from tq_cert.stages.setting import Setting
from tq_mlx.divergence import Expected, compare

BASELINE = "mlx:kv4"
DIGITS = 6


@dataclass
class Follower:
    """A method that follows the dense run through a window.

    Attributes:
        method: which.
        preset: its name in the contract; None for the baseline.
        caches: one per layer, once built.
        kl: at each position so far.
        flips: whether the likeliest token differs there, 0 or 1.
    """

    method: Method
    preset: str | None
    caches: list[Any] = field(default_factory=list[Any])
    kl: list[float] = field(default_factory=list[float])
    flips: list[float] = field(default_factory=list[float])


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
    dense = dense_caches(model, scope)
    followers = [Follower(parse_method(BASELINE), None)]
    followers += [Follower(parse_method(f"preset:{name}"), name) for name in setting.stage.presets]
    with tq_mlx.hooks_installed():
        for start in range(0, len(tokens), chunk):
            stop = min(start + chunk, len(tokens))
            fed = mx.array(list(tokens[start:stop]))[None]
            expected = Expected.of(run_model(model, fed, dense), list(tokens[start + 1 : stop + 1]))
            for follower in followers:
                follower.caches = follower.caches or build_caches(follower.method, model, scope, dense)
                follow(follower, expected, run_model(model, fed, follower.caches))
    for follower in followers:
        record(recorder, follower, At(family, context=len(tokens), prompt=prompt))
    mx.clear_cache()
    for follower in followers[1:]:
        check_codes_were_read(follower.method.name, follower.caches, follower.kl)


def follow(follower: Follower, expected: Expected, logits: mx.array) -> None:
    """Compare the logits [n, V] of a chunk."""
    follower.kl += rounded(compare(expected, logits).kl)
    changed: list[bool] = (mx.argmax(logits, axis=-1) != expected.top).tolist()  # pyright: ignore[reportAssignmentType]
    follower.flips += map(float, changed)


def record(recorder: Recorder, follower: Follower, at: At) -> None:
    """Keep what a finished window gave."""
    if follower.preset is None:
        recorder.add("baseline_kl", "nats", follower.kl, at)
        return
    own = at.with_preset(follower.preset)
    recorder.add("kl", "nats", follower.kl, own)
    recorder.add("flips", "share", follower.flips, own)
    recorder.add("stored_bits", "bits per value", [tq_mlx.status(follower.caches).bits_per_value or 0.0], own)


def rounded(values: Iterable[float]) -> list[float]:
    """To six digits: a record holds ten thousands of them."""
    return [float(f"{value:.{DIGITS}g}") for value in values]
