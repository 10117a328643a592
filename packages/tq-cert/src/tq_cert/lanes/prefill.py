"""Prompts fed to a model a chunk at a time, for the sake of its caches."""

from collections.abc import Sequence
from typing import Any

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  (first: it loads OpenBLAS before MLX is imported)

# isort: split
import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

Caches = list[Any]
"""One per layer."""


def prefilled(model: Any, tokens: Sequence[int], chunk: int) -> Caches:
    """The model's own caches after these tokens."""
    caches: Caches = make_prompt_cache(model)
    feed(model, caches, tokens, chunk)
    return caches


def feed(model: Any, caches: Caches, tokens: Sequence[int], chunk: int) -> None:
    """Run the model on more tokens; what it predicts is not computed."""
    for start in range(0, len(tokens), chunk):
        model(mx.array(list(tokens[start : start + chunk]))[None], cache=caches)
        mx.eval([cache.state for cache in caches])
