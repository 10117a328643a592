"""PolarQuant runs on both families, and its codes err as much as the theory says."""

from typing import Any, cast

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.stages.compressed_run import decode, not_read, prefill, to_compress, upgraded
from tq_cert.stages.recorder import At, Recorder, check
from tq_cert.stages.setting import Setting


def measure(setting: Setting, recorder: Recorder) -> None:
    """Compress a real prompt on every family, compare what the codes hold with what went in, and generate."""
    for family in setting.families:
        (tokens,) = setting.windows(family, context=setting.sizes.smoke_prompt)
        dense = prefill(setting.model(family).model, tokens[:-1], setting.sizes.chunk)
        for preset in setting.stage.presets:
            at = At(family, preset, setting.sizes.smoke_prompt)
            with recorder.case(f"{family}: errors of the codes of {preset}"):
                caches = upgraded(dense, preset, family)
                errors = [layer_errors(dense[index], caches[index]) for index in to_compress(dense)]
                check(bool(errors), "no layer is to be compressed")
                for side, values in zip(("key_error", "value_error"), zip(*errors, strict=True), strict=True):
                    recorder.add(side, "relative", values, at)
            with recorder.case(f"{family} generates with {preset}"):
                caches = upgraded(dense, preset, family)
                decoded = decode(setting.model(family).model, caches, tokens[-1], setting.sizes.smoke_tokens)
                unread = not_read(caches, to_compress(dense), setting.sizes.smoke_tokens)
                recorder.add("layers_not_read", "layers", [unread], at)
                recorder.add("non_finite_logits", "logits", [decoded.non_finite], at)


def layer_errors(dense: Any, cache: tq_mlx.TurboQuantKVCache) -> tuple[float, float]:
    """Mean relative squared errors of a layer's coded keys and values."""
    keys, values = cache.keys_and_values()
    coded = slice(cache.sink.length, cache.sink.length + cache.packed.length)
    return (
        relative_error(keys.decode()[..., coded, :], dense.keys[..., coded, :]),
        relative_error(values.decode()[..., coded, :], dense.values[..., coded, :]),
    )


def relative_error(decoded: mx.array, exact: mx.array) -> float:
    """Mean over tokens and heads of the squared error over the squared norm."""
    decoded, exact = decoded.astype(mx.float32), exact.astype(mx.float32)
    errors = mx.square(decoded - exact).sum(axis=-1) / mx.square(exact).sum(axis=-1)
    return cast("float", errors.mean().item())
