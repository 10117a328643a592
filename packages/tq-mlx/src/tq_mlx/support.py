"""The support gate: what may be compressed, by the contract's families and by the kinds of the caches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tq_contract
from tq_mlx.admission import Admission
from tq_mlx.batch import BatchTurboQuantKVCache
from tq_mlx.cache_kinds import LATENT, is_latent, kind_of
from tq_mlx.compressed import CompressedCache
from tq_mlx.config import TurboQuantConfig
from tq_mlx.errors import UnsupportedCacheError, UnsupportedFamilyError
from tq_mlx.recoding import check_same
from tq_mlx.upstream import history

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
    """Return the name of the contract's family to which an mlx-lm model belongs, by its ``model_type``.

    Raises:
        UnsupportedFamilyError: it belongs to none, or does not say its type.
    """
    model_type = getattr(model, "model_type", None)
    family = tq_contract.load().family_of(str(model_type))
    if family is None:
        raise UnsupportedFamilyError(
            f"model type {model_type!r} belongs to no family of the contract: generate without compression"
        )
    return family.name


def judge(cache: Sequence[Any], config: TurboQuantConfig) -> list[Verdict]:
    """Return what to do with each layer of a model's cache list.

    Raises:
        UnsupportedCacheError: a layer's cache is of a kind that is refused or compressed by another configuration, or
            there is no layer to compress.
        UnsupportedHeadDimError: the codecs do not serve a layer's head dimension.
    """
    verdicts = [judge_layer(index, layer, config) for index, layer in enumerate(cache)]
    if verdicts and not any(verdict.compress or verdict.reason == ALREADY for verdict in verdicts):
        reasons = "; ".join(dict.fromkeys(verdict.reason for verdict in verdicts))
        raise UnsupportedCacheError(
            f"no layer can be compressed ({reasons}): make the cache without max_kv_size, or leave it dense"
        )
    return verdicts


def judge_layer(index: int, cache: Any, config: TurboQuantConfig) -> Verdict:
    """Return what to do with one layer's cache.

    Raises:
        UnsupportedCacheError: the cache is of a kind that is refused, or compressed by another configuration.
        UnsupportedHeadDimError: the codecs do not serve its head dimension.
    """
    if isinstance(cache, CompressedCache):
        for row in cache.rows if isinstance(cache, BatchTurboQuantKVCache) else [cache]:
            check_same(index, row.config, config)
        return Verdict(False, ALREADY)
    kind = kind_of(cache)
    if kind.outcome == "refused":
        raise UnsupportedCacheError(f"layer {index} holds a {type(cache).__name__}: {kind.reason}")
    sliding = kind.outcome == "compressed on request"
    if kind.outcome == "left as it is" or (sliding and config.sliding_layers == "dense"):
        return Verdict(False, kind.reason)
    held = history(cache)
    if held is not None:
        heads, key_dim, value_dim = held[0].shape[1], held[0].shape[-1], held[1].shape[-1]
        if is_latent(heads, key_dim, value_dim):
            raise UnsupportedCacheError(f"layer {index}: {LATENT.format(key_dim, value_dim)}")
        config.keys.check(key_dim)
        config.values.check(value_dim)
    if sliding:
        return Verdict(True, f"compressed within its window of {cache.max_size} tokens")
    return Verdict(True, f"compressed from position {config.sink_tokens} on")
