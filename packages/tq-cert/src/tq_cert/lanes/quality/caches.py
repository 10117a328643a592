"""How each method's caches are built: the one place that knows the support gate and its bypass for evaluation."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

from tq_cert.errors import OptionError
from tq_cert.lanes.errors import SlidingWindowError, UnknownMethodError, UnservedMethodError
from tq_cert.lanes.prefill import Caches
from tq_cert.lanes.quality.methods import Dense, Method, MlxQuantized, TurboQuant
from tq_cert.lanes.quality.settings import Scope
from tq_core import TurboQuantError
from tq_mlx.compressed import CompressedCache
from tq_mlx.conversion import layer_key_norm

GATE_REMEDY = (
    "choose what the message allows; --research admits a research-only family; --layers all builds the caches "
    "directly, past the support gate, for evaluation"
)


def build_caches(method: Method, model: Any, scope: Scope, seen: Caches) -> Caches:
    """One empty cache per layer for this method.

    Args:
        method: what to build.
        model: an mlx-lm model.
        scope: mode and layers.
        seen: the dense run's caches after its first chunk: a rule for key bits looks at their keys, which are those
            that generation would compress first.
    """
    if not isinstance(method, TurboQuant):
        return admitted(method, model, scope)
    return with_key_bits(admitted(method, model, scope), config_of(method, scope), seen)


def admitted(method: Method, model: Any, scope: Scope) -> Caches:
    """One empty cache per layer, compressed where the method compresses; without a rule for key bits."""
    caches = dense_caches(model, scope)
    match method:
        case Dense():
            return caches
        case MlxQuantized():
            return [quantized(cache, method) for cache in caches]
        case TurboQuant():
            return compressed(caches, replace(config_of(method, scope), key_bits=None), model, scope)


def dense_caches(model: Any, scope: Scope) -> Caches:
    """One dense cache per layer: the model's own, or plain ones throughout.

    Raises:
        SlidingWindowError: a plain cache would keep more tokens than the layer's sliding window.
        UnservedMethodError: a layer has a cache of a kind that no plain cache can stand for.
    """
    caches: Caches = make_prompt_cache(model)
    if scope.layers == "default":
        return caches
    for cache in caches:
        window: int = getattr(cache, "max_size", scope.context)
        if scope.context > window:
            raise SlidingWindowError(scope.context, window)
        if not isinstance(cache, KVCache | RotatingKVCache):
            kind = type(cache).__name__
            raise UnservedMethodError("--layers all", f"the model has a {kind}", "use --layers default")
    return [KVCache() for _ in caches]


def quantized(cache: Any, method: MlxQuantized) -> Any:
    """What mlx-lm makes of a dense cache: its quantized form, or the cache itself where it has none."""
    if not hasattr(cache, "to_quantized"):
        return cache
    try:
        return cache.to_quantized(group_size=method.group_size, bits=method.bits)
    except NotImplementedError:
        return cache


def compressed(caches: Caches, config: tq_mlx.TurboQuantConfig, model: Any, scope: Scope) -> Caches:
    """Our caches in the place of the dense ones: all of them, or those that the support gate admits."""
    if scope.layers == "all":
        return [tq_mlx.TurboQuantKVCache(config) for _ in caches]
    family = tq_mlx.family_of(model)
    tq_mlx.upgrade_cache_list(caches, config=config, model_family=family, research=scope.research)
    return caches


def with_key_bits(caches: Caches, config: tq_mlx.TurboQuantConfig, seen: Caches) -> Caches:
    """The same caches, each compressed one with the key bits that the configuration's rule chooses for its layer."""
    if config.key_bits is None:
        return caches
    chosen = [index for index, cache in enumerate(caches) if isinstance(cache, CompressedCache)]
    if any(seen[index].offset <= config.sink_tokens for index in chosen):
        problem = "the rule for key bits looks at the first chunk, which ends within the sink"
        raise OptionError("--chunk", problem, f"use more than {config.sink_tokens}")
    norms = [layer_key_norm(seen[index], config) for index in chosen]
    for index, own in zip(chosen, config.for_layers(norms), strict=True):
        caches[index] = same_kind(caches[index], own)
    return caches


def same_kind(cache: CompressedCache, config: tq_mlx.TurboQuantConfig) -> CompressedCache:
    """An empty compressed cache of the same kind with another configuration."""
    if isinstance(cache, tq_mlx.TurboQuantRotatingKVCache):
        return tq_mlx.TurboQuantRotatingKVCache(config, cache.window, cache.admission)
    return tq_mlx.TurboQuantKVCache(config, cache.admission)


def config_of(method: TurboQuant, scope: Scope) -> tq_mlx.TurboQuantConfig:
    """The method's configuration in this mode.

    Raises:
        UnknownMethodError: the parameters are no configuration.
    """
    try:
        config = tq_mlx.TurboQuantConfig.from_dict(method.parameters)
    except tq_mlx.ConfigError as error:
        raise UnknownMethodError(method.name, str(error)) from error
    return replace(config, tail_tokens=0, block_tokens=1) if scope.mode == "stress" else config


def check_methods(methods: Sequence[Method], head_dims: tuple[int, ...], model: Any, scope: Scope) -> None:
    """Raise before any time is spent if a method does not serve this model.

    Raises:
        UnknownMethodError: its parameters are no configuration.
        UnservedMethodError: mlx-lm's quantized cache does not serve a head dimension, or our runtime refuses it or the
            model's family.
    """
    for method in methods:
        try:
            check_method(method, head_dims, model, scope)
        except TurboQuantError as error:
            raise UnservedMethodError(method.name, str(error), GATE_REMEDY) from error


def check_method(method: Method, head_dims: tuple[int, ...], model: Any, scope: Scope) -> None:
    """One of `check_methods`; what our runtime refuses, it raises as a tq_core.TurboQuantError."""
    for head_dim in head_dims:
        if isinstance(method, MlxQuantized):
            check_quantized(method, head_dim)
        if isinstance(method, TurboQuant):
            config = config_of(method, scope)
            config.keys.check(head_dim)
            config.values.check(head_dim)
    admitted(method, model, scope)


def check_quantized(method: MlxQuantized, head_dim: int) -> None:
    if head_dim % method.group_size:
        problem = f"groups of {method.group_size} do not divide the head dimension {head_dim}"
        raise UnservedMethodError(method.name, problem, "choose a smaller group, for example mlx:kv4g32")
    # mlx-lm reckons with whole codes per 32-bit word, MLX packs them without gaps.
    if head_dim // (32 // method.bits) != head_dim * method.bits // 32:
        problem = f"mlx-lm's cache does not allocate {method.bits}-bit codes of head dimension {head_dim} rightly"
        raise UnservedMethodError(method.name, problem, "choose 2, 4 or 8 bits")
