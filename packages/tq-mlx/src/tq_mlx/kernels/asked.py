"""What decides over kernels before any codec is looked at: what the user asks for, and the device's language."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Literal, get_args

import mlx.core as mx

from tq_mlx.errors import ConfigError
from tq_mlx.kernels.source_text import Dialect

PathName = Literal["auto", "reference"]
NAMES = get_args(PathName)

VARIABLE = "TURBOQUANT_ATTENTION"
"""Environment variable that says which path to take: ``auto`` or ``reference``. It is read once."""

wanted: ContextVar[str | None] = ContextVar("wanted", default=None)
"""The path of the innermost ``with attention_path(…)`` block."""


@contextmanager
def attention_path(name: PathName) -> Generator[None]:
    """Take that path within a ``with`` block, in coding too; ConfigError for an unknown name."""
    token = wanted.set(checked(name))
    try:
        yield
    finally:
        wanted.reset(token)


def reference_asked() -> bool:
    """Return whether no kernel is to be used; ConfigError for an unknown name in the environment."""
    return (wanted.get() or wanted_by_environment()) == "reference"


@cache
def wanted_by_environment() -> str:
    """Return what the environment says: remembered, since looking there takes longer than all else of a choice."""
    return checked(os.environ.get(VARIABLE, "auto"))


def checked(name: str) -> str:
    if name not in NAMES:
        raise ConfigError(f"attention path {name!r} is not known: use one of {', '.join(NAMES)}")
    return name


def dialect() -> Dialect | None:
    """Return the language of this machine's default device, or None where it is the CPU."""
    if mx.default_device().type != mx.gpu:
        return None
    return "metal" if mx.metal.is_available() else "cuda"
