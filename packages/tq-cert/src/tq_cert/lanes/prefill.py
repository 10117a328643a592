"""A model's caches after a prompt."""

from collections.abc import Sequence
from typing import Any

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  (first: it loads OpenBLAS before MLX is imported)

# isort: split
from mlx_lm.models.cache import make_prompt_cache

from tq_mlx.teacher_forcing import prefill

Caches = list[Any]
"""One per layer."""


def prefilled(model: Any, tokens: Sequence[int], chunk: int) -> Caches:
    """The model's own caches after these tokens."""
    caches: Caches = make_prompt_cache(model)
    prefill(model, tokens, caches, chunk)
    return caches
