"""The support gate: what may be compressed, by the contract's families and by the types of the caches."""

from dataclasses import dataclass
from typing import Any

from mlx_lm.models.cache import KVCache, RotatingKVCache

import tq_contract
from tq_mlx.admission import Admission
from tq_mlx.cache import TurboQuantKVCache
from tq_mlx.config import TurboQuantConfig
from tq_mlx.errors import UnsupportedCacheError, UnsupportedFamilyError
from tq_mlx.upstream import history

SLIDING = "sliding-window layer: bounded already, left dense"
ALREADY = "already compressed"

OPT_IN = "opt in: research=True, turboquant_research=True in generation, --research on the command line"
"""How a research-only family is admitted."""


@dataclass(frozen=True)
class Verdict:
    """Whether a layer is to be compressed, and why."""

    compress: bool
    reason: str


def admit_family(name: str | None, *, research: bool = False) -> Admission:
    """Return the admission of the contract's family of that name.

    Args:
        name: of the family.
        research: admit a research-only family too; one that the contract lacks stays refused.

    Raises:
        UnsupportedFamilyError: the family is not admitted; the message names the remedy.
    """
    families = tq_contract.load().families
    allowed = ", ".join(family.name for family in families if family.allowlisted)
    if name is None:
        raise UnsupportedFamilyError(f"model_family is None: name one of {allowed}")
    family = next((family for family in families if family.name == name), None)
    if family is None:
        raise UnsupportedFamilyError(
            f"model family {name!r} is not in the contract: use one of {allowed}, or leave the cache dense "
            "(constructing tq_mlx.TurboQuantKVCache directly is for evaluation)"
        )
    if not (family.allowlisted or research):
        raise UnsupportedFamilyError(
            f"model family {name!r} is research-only: no evidence shows that compression keeps its quality; use one of "
            f"{allowed}, leave the cache dense, or {OPT_IN}"
        )
    return Admission(name, research=not family.allowlisted)


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
    if isinstance(cache, TurboQuantKVCache):
        return Verdict(False, ALREADY)
    if type(cache) is RotatingKVCache:
        return Verdict(False, SLIDING)
    if type(cache) is not KVCache:
        raise UnsupportedCacheError(
            f"layer {layer} holds a {type(cache).__name__}: only mlx_lm's KVCache can be compressed; "
            "start from make_prompt_cache(model) without other quantization"
        )
    held = history(cache)
    if held is not None:
        config.keys.check(held[0].shape[-1])
        config.values.check(held[1].shape[-1])
    return Verdict(True, f"compressed from position {config.sink_tokens} on")
