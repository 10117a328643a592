"""How stages save and load a prompt cache: mlx-lm's own way, in which our classes take part."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlx_lm.models.cache import (
    load_prompt_cache,  # pyright: ignore[reportUnknownVariableType]
    save_prompt_cache,
)


def save(path: Path, caches: Sequence[Any]) -> None:
    """Write the caches to a file."""
    save_prompt_cache(str(path), list(caches))


def load(path: Path) -> list[Any]:
    """The caches that a file holds."""
    return list(load_prompt_cache(str(path)))
