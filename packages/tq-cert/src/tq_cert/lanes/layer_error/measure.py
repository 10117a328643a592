"""One dense run of a text, then every method's codes of it beside what they stand for."""

import copy
from collections.abc import Sequence
from typing import Any, cast

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx_lm.models.cache import QuantizedKVCache

from tq_cert.lanes.errors import UnservedMethodError
from tq_cert.lanes.layer_error.record import LayerError, LayerErrorRow, LayerErrorSettings
from tq_cert.lanes.models import LoadedModel
from tq_cert.lanes.prefill import Caches, prefilled
from tq_cert.lanes.quality.caches import quantized
from tq_cert.lanes.quality.methods import Dense, Method, MlxQuantized
from tq_cert.lanes.texts import Windows
from tq_cert.progress import Progress


def layer_error_rows(
    loaded: LoadedModel, windows: Windows, methods: Sequence[Method], settings: LayerErrorSettings, progress: Progress
) -> tuple[LayerErrorRow, ...]:
    """One row per method.

    Raises:
        UnservedMethodError: a method codes nothing of this text on this model.
        tq_core.TurboQuantError: the runtime refuses the model.
    """
    (tokens,) = windows.tokens
    dense = prefilled(loaded.model, tokens, settings.chunk)
    rows: list[LayerErrorRow] = []
    progress.phase("methods", len(methods))
    for method in methods:
        layers = errors(loaded.model, dense, method, research=settings.research)
        if not layers:
            problem = f"of {settings.context} tokens it codes none on this model"
            raise UnservedMethodError(method.name, problem, "use a longer --context, or another method")
        rows.append(LayerErrorRow(method.name, layers))
        progress.reach(len(rows))
    return tuple(rows)


def errors(model: Any, dense: Caches, method: Method, *, research: bool) -> tuple[LayerError, ...]:
    """The errors of every layer that the method compresses."""
    found: list[LayerError] = []
    for index, (cache, before) in enumerate(zip(compressed(model, dense, method, research), dense, strict=True)):
        sides = coded_errors(cache, before)
        if sides is not None:
            found.append(LayerError(index, *sides))
    return tuple(found)


def coded_errors(cache: Any, dense: Any) -> tuple[float, float] | None:
    """Mean relative squared errors of a layer's coded keys and values; None where nothing is coded.

    Args:
        cache: of any kind, with what became of the dense one's tokens.
        dense: the dense cache.
    """
    decoded = decode(cache)
    if decoded is None or decoded[2].stop <= decoded[2].start:
        return None
    keys, values, coded = decoded
    return relative_error(keys, dense.keys[..., coded, :]), relative_error(values, dense.values[..., coded, :])


def compressed(model: Any, dense: Caches, method: Method, research: bool) -> Caches:
    """The method's form of copies of the dense caches."""
    caches = copy.deepcopy(dense)
    match method:
        case Dense():
            return caches
        case MlxQuantized():
            return [quantized(cache, method) for cache in caches]
        case _:
            config = tq_mlx.TurboQuantConfig.from_dict(method.parameters)
            family = tq_mlx.family_of(model)
            tq_mlx.upgrade_cache_list(caches, config=config, model_family=family, research=research)
            return caches


def decode(cache: Any) -> tuple[mx.array, mx.array, slice] | None:
    """A compressed layer's coded keys and values [B, H, n, D] as decoded, and which tokens they are."""
    match cache:
        case tq_mlx.TurboQuantKVCache():
            keys, values = cache.keys_and_values()
            coded = slice(cache.sink.length, cache.sink.length + cache.packed.length)
            return keys.decode()[..., coded, :], values.decode()[..., coded, :], coded
        case QuantizedKVCache():
            group, bits, offset = cast("tuple[int, int, int]", (cache.group_size, cache.bits, cache.offset))
            sides = cast("tuple[Any, Any]", (cache.keys, cache.values))
            keys, values = (mx.dequantize(*side, group_size=group, bits=bits)[..., :offset, :] for side in sides)
            return keys, values, slice(0, offset)
        case _:
            return None


def relative_error(decoded: mx.array, exact: mx.array) -> float:
    """Mean over tokens and heads of the squared error over the squared norm."""
    decoded, exact = decoded.astype(mx.float32), exact.astype(mx.float32)
    return float((mx.square(decoded - exact).sum(axis=-1) / mx.square(exact).sum(axis=-1)).mean())
