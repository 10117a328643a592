"""Timings that can be compared: everything is timed once before anything is timed again."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.lanes.encode.record import CodecRow, Timing
from tq_cert.lanes.encode.settings import EncodeSettings
from tq_cert.progress import Progress
from tq_core import Code, Codec

Name = TypeVar("Name")

Job = Callable[[], Any]
"""Computes something and returns the arrays to wait for."""


def interleaved(jobs: Mapping[Name, Job], repeats: int, progress: Progress) -> dict[Name, Timing]:
    """Time every job ``repeats`` times, in turns, so that what disturbs the machine disturbs them all alike.

    One turn before them compiles what there is to compile and is not counted.
    """
    samples: dict[Name, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):
        for name, job in jobs.items():
            seconds = seconds_of(job)
            if turn:
                samples[name].append(seconds)
        progress.reach(turn + 1)
    return {name: Timing.of(taken) for name, taken in samples.items()}


def seconds_of(job: Job) -> float:
    started = time.perf_counter()
    mx.eval(job())
    return time.perf_counter() - started


def codec_rows(settings: EncodeSettings, progress: Progress) -> tuple[CodecRow, ...]:
    """Time coding and decoding of every preset's keys and values for every head dimension."""
    jobs: dict[tuple[str, str, int, str], Job] = {}
    sizes: dict[int, int] = {}
    for head_dim in settings.head_dims:
        for name in settings.presets:
            config = tq_mlx.TurboQuantConfig.from_preset(name)
            x = mx.random.normal((1, settings.heads, config.block_tokens, head_dim), key=mx.random.key(0))
            mean = x.mean(axis=-2, keepdims=True) if config.center_keys else None
            mx.eval(x, mean)
            sizes[head_dim] = x.size
            for side, codec, centre in (("keys", config.keys, mean), ("values", config.values, None)):
                code = codec.encode(x)
                jobs[name, side, head_dim, "encode"] = encoding(codec, x, centre)
                jobs[name, side, head_dim, "decode"] = decoding(codec, code)
    progress.phase("codecs", settings.repeats + 1)
    timings = interleaved(jobs, settings.repeats, progress)
    return tuple(
        CodecRow(
            preset=name,
            side=side,
            codec=getattr(tq_mlx.TurboQuantConfig.from_preset(name), side).label,
            head_dim=head_dim,
            values=sizes[head_dim],
            encode=timing,
            decode=timings[name, side, head_dim, "decode"],
        )
        for (name, side, head_dim, what), timing in timings.items()
        if what == "encode"
    )


def encoding(codec: Codec[Any], x: mx.array, mean: mx.array | None) -> Job:
    """Code x, less the mean where there is one."""
    return lambda: list(codec.encode(x if mean is None else x - mean).arrays().values())


def decoding(codec: Codec[Any], code: Code) -> Job:
    return lambda: codec.decode(code)
