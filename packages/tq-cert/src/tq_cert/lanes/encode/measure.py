"""Coding and decoding of vectors, timed for every preset."""

from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.lanes.encode.record import CodecRow
from tq_cert.lanes.encode.settings import EncodeSettings
from tq_cert.lanes.turns import Job, clocked_in_turns
from tq_cert.progress import Progress
from tq_core import Code, Codec
from tq_mlx.kernels.encode import encode_fused
from tq_mlx.means import Means


def codec_rows(settings: EncodeSettings, progress: Progress) -> tuple[CodecRow, ...]:
    """Time coding and decoding of every preset's keys and values for every head dimension.

    Where a fused kernel codes them, it is timed beside the reference.
    """
    dtype = mx.float32 if mx.default_device().type == mx.cpu else mx.bfloat16
    jobs: dict[tuple[str, str, int, str], Job] = {}
    sizes: dict[int, int] = {}
    for head_dim in settings.head_dims:
        for name in settings.presets:
            config = tq_mlx.TurboQuantConfig.from_preset(name)
            tokens = settings.tokens or config.block_tokens
            x = mx.random.normal((1, settings.heads, tokens, head_dim), key=mx.random.key(0)).astype(dtype)
            mean = Means(x.astype(mx.float32).mean(axis=-2, keepdims=True)) if config.center_keys else None
            mx.eval(x, mean and mean.vectors)
            sizes[head_dim] = x.size
            for side, codec, less in (("keys", config.keys, mean), ("values", config.values, None)):
                code = codec.encode(x)
                jobs[name, side, head_dim, "encode"] = encoding(codec, x, less)
                jobs[name, side, head_dim, "decode"] = decoding(codec, code)
                if encode_fused(codec, x, less) is not None:
                    jobs[name, side, head_dim, "fused"] = fused_encoding(codec, x, less)
    progress.phase("codecs", settings.repeats + 1)
    timings = clocked_in_turns(jobs, settings.repeats, progress)
    return tuple(
        CodecRow(
            preset=name,
            side=side,
            codec=getattr(tq_mlx.TurboQuantConfig.from_preset(name), side).label,
            head_dim=head_dim,
            dtype=str(dtype).removeprefix("mlx.core."),
            values=sizes[head_dim],
            encode=timing,
            decode=timings[name, side, head_dim, "decode"],
            fused=timings.get((name, side, head_dim, "fused")),
        )
        for (name, side, head_dim, what), timing in timings.items()
        if what == "encode"
    )


def encoding(codec: Codec[Any], x: mx.array, less: Means | None) -> Job:
    """Code x, less the mean where there is one, without a kernel."""
    tokens = x.shape[-2]
    return lambda: arrays_of(codec.encode(x if less is None else x.astype(mx.float32) - less.of(0, tokens)))


def fused_encoding(codec: Codec[Any], x: mx.array, less: Means | None) -> Job:
    """The same by the fused kernel."""
    return lambda: arrays_of(encode_fused(codec, x, less))


def arrays_of(code: Code | None) -> list[mx.array]:
    if code is None:
        raise RuntimeError("the kernel that coded these vectors does so no more")
    return list(code.arrays().values())


def decoding(codec: Codec[Any], code: Code) -> Job:
    return lambda: codec.decode(code)
