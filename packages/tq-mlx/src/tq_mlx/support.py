"""The support gate: what may be compressed, by the contract's families and by the types of the caches."""

from dataclasses import dataclass
from typing import Any

from mlx_lm.models.cache import KVCache, RotatingKVCache

import tq_contract
from tq_contract import Family
from tq_mlx.config import TurboQuantConfig
from tq_mlx.errors import UnsupportedCacheError, UnsupportedFamilyError
from tq_mlx.rotating import CompressedCache
from tq_mlx.upstream import history

SLIDING = "sliding-window layer: bounded already, left dense"
KEEPS = "rotating cache that keeps its first tokens for good: left dense"
ALREADY = "already compressed"


@dataclass(frozen=True)
class Verdict:
    """Whether a layer is to be compressed, and why."""

    compress: bool
    reason: str


def admit_family(name: str | None) -> Family:
    """Return the contract's family of that name; UnsupportedFamilyError names the allowlisted ones."""
    families = tq_contract.load().families
    allowed = [family.name for family in families if family.status == "allowlisted"]
    if name is None:
        raise UnsupportedFamilyError(f"model_family is None: name one of {', '.join(allowed)}")
    for family in families:
        if family.name == name and family.status == "allowlisted":
            return family
    raise UnsupportedFamilyError(
        f"model family {name!r} is not allowlisted by the contract: use one of {', '.join(allowed)}, or leave the "
        "cache dense (constructing tq_mlx.TurboQuantKVCache directly is for evaluation)"
    )


def family_of(model: Any) -> str:
    """Return the name of the contract's family to which an mlx-lm model belongs."""
    model_type = getattr(model, "model_type", None)
    family = tq_contract.load().family_of(str(model_type))
    if family is None:
        raise UnsupportedFamilyError(
            f"model type {model_type!r} belongs to no family of the contract: generate without compression"
        )
    return family.name


def judge(layer: int, cache: Any, config: TurboQuantConfig) -> Verdict:
    """Return what to do with one layer's cache.

    Raises:
        UnsupportedCacheError: the cache is of a type that cannot be compressed.
        UnsupportedHeadDimError: the codecs do not serve its head dimension.
    """
    if isinstance(cache, CompressedCache):
        return Verdict(False, ALREADY)
    sliding = type(cache) is RotatingKVCache
    if sliding and (config.sliding_layers == "dense" or cache.keep):
        return Verdict(False, KEEPS if cache.keep else SLIDING)
    if not sliding and type(cache) is not KVCache:
        raise UnsupportedCacheError(
            f"layer {layer} holds a {type(cache).__name__}: only mlx_lm's KVCache can be compressed; "
            "start from make_prompt_cache(model) without other quantization"
        )
    held = history(cache)
    if held is not None:
        config.keys.check(held[0].shape[-1])
        config.values.check(held[1].shape[-1])
    if sliding:
        return Verdict(True, f"compressed within its window of {cache.max_size} tokens")
    return Verdict(True, f"compressed from position {config.sink_tokens} on")
