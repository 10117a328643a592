"""The caches that a model's configuration leads to, layer by layer, learnt from mlx-lm's own model without its weights.

MLX computes nothing until it is asked to. So the model is built as mlx-lm builds it, its weights replaced by one zero
seen many times over, and two tokens are passed through it into its own caches. Nothing of that is ever computed, but
the caches' types, shapes and dtypes are there to be read: for every architecture of mlx-lm, and without a second copy
of what it knows. A 70B configuration takes a fraction of a second and some megabytes.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import mlx.core as mx
from mlx_lm.models.cache import ArraysCache, CacheList, KVCache, RotatingKVCache, make_prompt_cache
from mlx_lm.utils import _get_classes as model_classes  # pyright: ignore[reportPrivateUsage, reportUnknownVariableType]

from tq_mlx.errors import ConfigError, UnsupportedCacheError
from tq_mlx.planned_segments import PREFILL_STEP
from tq_mlx.segments import round_up

DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}


@dataclass(frozen=True)
class Growing:
    """mlx-lm's KVCache: every token stays.

    Attributes:
        heads: heads of keys and values.
        key_dim: values per key.
        value_dim: values per value.
        item_bytes: bytes per value.
    """

    heads: int
    key_dim: int
    value_dim: int
    item_bytes: int

    @property
    def bytes_per_token(self) -> int:
        """Bytes of one token's keys and values, uncompressed."""
        return self.heads * (self.key_dim + self.value_dim) * self.item_bytes

    def bytes_at(self, tokens: int) -> int:
        """Return the bytes allocated once that many tokens are held."""
        return round_up(tokens, KVCache.step) * self.bytes_per_token


@dataclass(frozen=True)
class Window(Growing):
    """mlx-lm's RotatingKVCache: the newest ``window`` tokens stay."""

    window: int

    def bytes_at(self, tokens: int) -> int:
        """Return the bytes allocated once that many tokens have passed and the last came alone."""
        if not tokens:
            return 0
        # The array takes a block as it is, and grows by a step with the first token that comes alone.
        blocks = tokens - 1 - ((tokens - 1) % PREFILL_STEP == 1)
        return min(blocks + RotatingKVCache.step, self.window) * self.bytes_per_token


@dataclass(frozen=True)
class Fixed:
    """A recurrent layer's state: as large after any number of tokens."""

    nbytes: int

    def bytes_at(self, tokens: int) -> int:
        """Return the bytes of the state."""
        return self.nbytes if tokens else 0


Part = Growing | Window | Fixed


@dataclass(frozen=True)
class LayerShape:
    """One entry of mlx-lm's cache list.

    Attributes:
        cache: name of the cache's class.
        parts: what it is made of; a CacheList has several, a layer that stores nothing has none.
    """

    cache: str
    parts: tuple[Part, ...]

    def bytes_at(self, tokens: int) -> int:
        """Return the bytes allocated, uncompressed, once that many tokens are held."""
        return sum(part.bytes_at(tokens) for part in self.parts)


@dataclass(frozen=True)
class ModelShape:
    """A model as its caches see it.

    Attributes:
        model_type: what the support gate asks for.
        dtype: dtype that the configuration names for the model, bfloat16 where it names none.
        max_context: most positions that the model was made for; None where the configuration does not say.
        caches: mlx-lm's own caches, which hold two tokens that nothing has computed.
        layers: the same as numbers.
    """

    model_type: str
    dtype: str
    max_context: int | None
    caches: tuple[Any, ...]
    layers: tuple[LayerShape, ...]


def model_shape(config: Mapping[str, Any]) -> ModelShape:
    """Return the shape of the model that a config.json describes.

    Raises:
        ConfigError: mlx-lm makes no model of it.
        UnsupportedCacheError: a layer's cache is of a type whose growth is not known.
    """
    dtype = named(config, "dtype") or named(config, "torch_dtype")
    dtype = dtype if dtype in DTYPES else "bfloat16"
    context = named(config, "max_position_embeddings")
    model, caches = traced(config, DTYPES[dtype])
    return ModelShape(
        model_type=str(model.model_type),
        dtype=dtype,
        max_context=context if isinstance(context, int) else None,
        caches=tuple(caches),
        layers=tuple(LayerShape(type(cache).__name__, parts_of(index, cache)) for index, cache in enumerate(caches)),
    )


def named(config: Mapping[str, Any], field: str) -> Any:
    """Return a field of the configuration, or of the text part of one with several."""
    text: Mapping[str, Any] = config.get("text_config") or {}
    return config.get(field) or text.get(field)


def traced(config: Mapping[str, Any], dtype: mx.Dtype) -> tuple[Any, list[Any]]:
    """Return mlx-lm's model and its caches after two tokens, all of it uncomputed."""
    if "model_type" not in config:
        raise ConfigError("the configuration names no model_type: use the config.json of a language model")
    if config.get("model_file") is not None:
        raise ConfigError(f"the model brings its own code ({config['model_file']!r}), which is not run")
    with random_state_kept():
        try:
            model = uncomputed_model(dict(config), dtype)
            caches = make_prompt_cache(model)
            model(mx.zeros((1, 2), mx.int32), cache=caches)
        except Exception as error:  # the code of more than a hundred architectures, fed with a stranger's numbers
            raise ConfigError(
                f"mlx-lm makes no model of this configuration of type {config['model_type']!r}: "
                f"{type(error).__name__}: {error}"
            ) from error
    return model, caches


def uncomputed_model(config: dict[str, Any], dtype: mx.Dtype) -> Any:
    """Return mlx-lm's model, its weights all zero: one number seen many times over, whatever comes to be computed."""
    model_class, arguments = model_classes(config)
    zero = mx.zeros((), dtype)

    def zeros_like(weight: mx.array) -> mx.array:
        return mx.broadcast_to(zero, weight.shape)

    model: Any = model_class(arguments.from_dict(config))
    return model.apply(zeros_like)


@contextmanager
def random_state_kept() -> Generator[None]:
    """Leave MLX's random numbers as they were, though random weights are asked for and never made."""
    state: Any = mx.random.state
    high, low = state[0].tolist()
    try:
        yield
    finally:
        mx.random.seed(high << 32 | low)


def parts_of(index: int, cache: Any) -> tuple[Part, ...]:
    """Return what one layer's cache is made of; UnsupportedCacheError if that cannot be said."""
    kind = cast(type[Any], type(cache))
    if kind is CacheList:
        return tuple(part for inner in cache.caches for part in parts_of(index, inner))
    if kind is ArraysCache:
        return (Fixed(cache.nbytes),)
    if kind not in (KVCache, RotatingKVCache):
        raise UnsupportedCacheError(
            f"layer {index} holds a {kind.__name__}, whose growth is not known: nothing can be planned for this model"
        )
    if cache.empty():
        return ()
    keys, values = cache.keys, cache.values
    numbers = (keys.shape[1], keys.shape[-1], values.shape[-1], keys.dtype.size)
    return (Growing(*numbers),) if kind is KVCache else (Window(*numbers, window=cache.max_size),)
