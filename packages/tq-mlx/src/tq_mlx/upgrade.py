"""upgrade_cache_list: turn a model's dense caches into compressed ones, in place, all layers or none."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache

from tq_core.codec import check_finite
from tq_core.errors import NonFiniteError
from tq_mlx.admission import Admission
from tq_mlx.cache import TurboQuantKVCache
from tq_mlx.config import TurboQuantConfig
from tq_mlx.events import UpgradeEvent
from tq_mlx.key_bits import key_norm
from tq_mlx.support import Verdict, admit_family, judge
from tq_mlx.upstream import history


def upgrade_cache_list(
    cache: list[Any],
    k_start: int = 0,
    *,
    config: TurboQuantConfig,
    model_family: str | None,
    research: bool = False,
) -> list[UpgradeEvent]:
    """Compress every layer that supports it, in place.

    Does nothing, and returns no events, while the longest layer holds fewer than ``k_start`` tokens, and where all
    layers have been dealt with before.

    Args:
        cache: one cache per layer, as made by mlx-lm's make_prompt_cache; its elements are replaced.
        k_start: tokens from which on to compress.
        config: what to compress to.
        model_family: name of a family in the contract.
        research: opt in to a family that the contract lists as research-only.

    Returns:
        One event per layer, compressed or not.

    Raises:
        UnsupportedFamilyError: the family is None, not in the contract, or research-only without the opt-in.
        UnsupportedCacheError: a layer's cache is of a type that cannot be compressed.
        UnsupportedHeadDimError: the codecs do not serve a layer's head dimension.
        NonFiniteError: a layer holds NaN or Inf.
        The cache is as it was then.
    """
    admission = admit_family(model_family, research=research)
    verdicts = [judge(index, layer, config) for index, layer in enumerate(cache)]
    if not any(verdict.compress for verdict in verdicts) or not due(cache, k_start, config):
        return []
    for index, (layer, verdict) in enumerate(zip(cache, verdicts, strict=True)):
        if verdict.compress:
            check_layer(index, layer)
    events: list[UpgradeEvent] = []
    configs = layer_configs(cache, verdicts, config)
    for index, (layer, verdict) in enumerate(zip(cache, verdicts, strict=True)):
        upgraded = compress_layer(layer, configs[index], admission) if verdict.compress else layer
        own = upgraded.config if isinstance(upgraded, TurboQuantKVCache) else None
        events.append(
            UpgradeEvent(
                layer=index,
                compressed=own is not None,
                reason=verdict.reason,
                before=type(layer).__name__,
                after=type(upgraded).__name__,
                offset=layer.offset,
                old_bytes=layer.nbytes,
                new_bytes=upgraded.nbytes,
                family=admission.family,
                research=admission.research,
                config=config.label,
                keys=own.keys.label if own else "dense",
                values=own.values.label if own else "dense",
            )
        )
        cache[index] = upgraded
    return events


def due(cache: Sequence[Any], k_start: int, config: TurboQuantConfig) -> bool:
    """Return whether the time to compress has come: a rule for key bits needs keys beyond the sink to look at."""
    held = max((layer.offset for layer in cache), default=0)
    return held >= k_start and (config.key_bits is None or held > config.sink_tokens)


def layer_configs(
    cache: Sequence[Any], verdicts: Sequence[Verdict], config: TurboQuantConfig
) -> dict[int, TurboQuantConfig]:
    """Return each layer's own configuration, by index, for the layers that are to be compressed."""
    chosen = [index for index, verdict in enumerate(verdicts) if verdict.compress]
    if config.key_bits is None:
        return dict.fromkeys(chosen, config)
    norms = [layer_key_norm(cache[index], config) for index in chosen]
    return dict(zip(chosen, config.for_layers(norms), strict=True))


def layer_key_norm(layer: KVCache, config: TurboQuantConfig) -> float:
    held = history(layer)
    return key_norm(held[0], sink_tokens=config.sink_tokens, centred=config.center_keys) if held else 0.0


def check_layer(index: int, layer: KVCache) -> None:
    """Raise NonFiniteError, naming the layer, if its keys or values hold NaN or Inf."""
    held = history(layer)
    if held is None:
        return
    for side, array in zip(("keys", "values"), held, strict=True):
        try:
            check_finite(array)
        except NonFiniteError as error:
            raise NonFiniteError(f"layer {index}, {side}: {error}") from error


def compress_layer(layer: KVCache, config: TurboQuantConfig, admission: Admission) -> TurboQuantKVCache:
    """Return a compressed cache of the same history."""
    compressed = TurboQuantKVCache(config, admission)
    held = history(layer)
    if held is not None:
        compressed.load_history(*held)
        mx.eval(compressed.state)
    return compressed
