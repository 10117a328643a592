"""The mark by which our replacements are known, whatever was wrapped around them: whether attention can read codes."""

from collections.abc import Callable
from typing import Any, TypeVar

from mlx_lm.models import base

from tq_mlx.errors import HookError

F = TypeVar("F", bound=Callable[..., Any])

MARK = "turboquant_replacement"


def marked(function: F) -> F:
    """Return the function, marked as a replacement of ours; functools.wraps hands the mark on."""
    setattr(function, MARK, True)
    return function


def require_reader() -> None:
    """Raise HookError unless mlx-lm's attention reads compressed caches."""
    if not getattr(base.scaled_dot_product_attention, MARK, False):
        raise HookError(
            "mlx-lm's scaled_dot_product_attention is its own: it could not read compressed caches; "
            "call tq_mlx.install() first, or work in `with tq_mlx.hooks_installed():`"
        )
