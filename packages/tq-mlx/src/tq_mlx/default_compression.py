"""compress_by_default: a model whose caches are compressed from the first token on, whoever makes them.

mlx-lm's batch generator and server make caches themselves and take no configuration; but they ask the model, if it has
a ``make_cache`` of its own. So the model gets one. A rule for key bits needs keys to look at, which an empty cache has
not: they are chosen once, from a calibration text, and are the same for every sequence then.
"""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache

from tq_mlx.config import TurboQuantConfig, check_config
from tq_mlx.conversion import Configs, compress_layer, layer_configs
from tq_mlx.errors import ConfigError
from tq_mlx.reader import require_reader
from tq_mlx.support import admit_family, family_of, judge

MAKER = "make_cache"


def compress_by_default(
    model: Any, config: TurboQuantConfig, *, calibration: Sequence[int] = (), research: bool = False
) -> Configs:
    """Let ``make_prompt_cache(model)`` and all that call it make compressed caches from now on.

    Args:
        model: an mlx-lm model.
        config: what to compress to.
        calibration: token ids of a text, a few hundred, from whose keys a rule for key bits chooses.
        research: opt in to a family that the contract lists as research-only.

    Returns:
        The configurations of the layers that are compressed, by index.

    Raises:
        ConfigError: the configuration has a rule for key bits, and the calibration is no longer than the sink.
        UnsupportedFamilyError: the model's family is not in the contract, or research-only without the opt-in.
        UnsupportedCacheError: a layer's cache is of a kind that is refused, or no layer can be compressed.
        UnsupportedHeadDimError: the codecs do not serve a layer's head dimension.
        HookError: mlx-lm's attention is not replaced, so that nothing could read the codes.
        The model is as it was then.
    """
    require_reader()
    admission = admit_family(family_of(model), research=research)
    check_config(config)
    if config.key_bits is not None and len(calibration) <= config.sink_tokens:
        raise ConfigError(
            f"key_bits are chosen from keys behind the sink of {config.sink_tokens} tokens, and the calibration has "
            f"{len(calibration)}: pass the token ids of a text, a few hundred"
        )
    prefilled = dense_caches(model)
    mx.eval(model(mx.array([list(calibration) or [0]]), cache=prefilled))
    chosen = [index for index, verdict in enumerate(judge(prefilled, config)) if verdict.compress]
    configs = layer_configs(prefilled, chosen, config, None)

    def make_cache() -> list[Any]:
        dense = dense_caches(model)
        return [
            compress_layer(layer, configs[index], admission) if index in configs else layer
            for index, layer in enumerate(dense)
        ]

    setattr(model, MAKER, make_cache)
    return configs


def dense_by_default(model: Any) -> None:
    """Undo ``compress_by_default``; nothing happens where it was not called."""
    vars(model).pop(MAKER, None)


def dense_caches(model: Any) -> list[Any]:
    """Return the caches that the model's class makes, one per layer."""
    maker = getattr(type(model), MAKER, None)
    return [KVCache() for _ in model.layers] if maker is None else maker(model)
