"""What becomes of each of mlx-lm's kinds of cache: the one table that the gate and the status read."""

from dataclasses import dataclass
from typing import Any, Literal

from mlx_lm.models.cache import (
    ArraysCache,
    BatchKVCache,
    BatchRotatingKVCache,
    CacheList,
    ChunkedKVCache,
    ConcatenateKVCache,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
)

Outcome = Literal["compressed", "compressed on request", "left as it is", "refused"]

SLIDING = "sliding-window layer: bounded already, left dense"
KEEPS = "rotating cache that keeps its first tokens for good: left dense"
CHUNKED = "layer of chunked attention: bounded already, left dense"
RECURRENT = "recurrent state of a fixed size: it has no keys and values, left as it is"


@dataclass(frozen=True)
class Kind:
    """What is done with a layer of one kind, and why; of a refused one, with the remedy.

    One that is compressed on request (the configuration's ``sliding_layers``) has the reason why it is not otherwise.
    """

    outcome: Outcome
    reason: str


KINDS: dict[type, Kind] = {
    KVCache: Kind("compressed", "keys and values of every token"),
    RotatingKVCache: Kind("compressed on request", SLIDING),
    BatchRotatingKVCache: Kind("left as it is", SLIDING),
    ChunkedKVCache: Kind("left as it is", CHUNKED),
    ArraysCache: Kind("left as it is", RECURRENT),
    QuantizedKVCache: Kind(
        "refused",
        "mlx-lm has quantized it, and what it was made from is gone; start from make_prompt_cache(model) without "
        "kv_bits",
    ),
    BatchKVCache: Kind("refused", "it holds the rows of a batch; compress each row's KVCache before they are merged"),
    CacheList: Kind(
        "refused",
        "it holds several caches for one layer, such as latents beside their index; leave this model's cache dense",
    ),
    ConcatenateKVCache: Kind("refused", "it is mlx-lm's stand-in for tests; start from make_prompt_cache(model)"),
}
"""By exact type: what a subclass stores is not known."""

LATENT = (
    "its one head stores keys of {} and values of {} dimensions: multi-head latent attention, which keeps no keys and "
    "values apart; leave this model's cache dense"
)

KEEPING = Kind("left as it is", KEEPS)

UNKNOWN = Kind("refused", "none of mlx-lm's own caches; only its KVCache can be compressed")


def kind_of(cache: Any) -> Kind:
    """Return what is done with a cache, by its type and not by what it holds."""
    if type(cache) is RotatingKVCache and cache.keep:
        return KEEPING
    kind: type = type(cache)
    return KINDS.get(kind, UNKNOWN)


def is_latent(heads: int, key_dim: int, value_dim: int) -> bool:
    """Return whether a plain cache of this shape holds latents (MLA): mlx-lm puts them and their positions there."""
    return heads == 1 and key_dim != value_dim
