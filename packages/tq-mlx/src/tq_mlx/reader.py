"""The mark by which a replaced attention function is known, wherever it is bound and whatever was wrapped around it."""

from collections.abc import Callable
from typing import Any, TypeVar

from mlx_lm.models import base

from tq_mlx.errors import HookError

F = TypeVar("F", bound=Callable[..., Any])

MARK = "reads_turboquant_codes"


def marked(function: F) -> F:
    """Return the function, marked as one that reads codes; functools.wraps hands the mark on."""
    setattr(function, MARK, True)
    return function


def require_reader() -> None:
    """Raise HookError unless mlx-lm's attention reads compressed caches."""
    if not getattr(base.scaled_dot_product_attention, MARK, False):
        raise HookError(
            "mlx-lm's scaled_dot_product_attention is its own: it could not read compressed caches; "
            "call tq_mlx.install() first, or work in `with tq_mlx.hooks_installed():`"
        )
