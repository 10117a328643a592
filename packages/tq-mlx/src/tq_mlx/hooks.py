"""Install and uninstall the replacements in mlx-lm: every name bound to an original function, and nothing else.

Most model modules bind scaled_dot_product_attention when they are imported, so it is not enough to replace it where it
is defined: every loaded module's name that is the original function is replaced too, and modules imported later find
the replacement. Uninstalling puts the original back wherever the replacement is found.
"""

import functools
import importlib
import importlib.metadata
import inspect
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import tq_contract
from tq_contract import Hook
from tq_mlx import gemma2, generation
from tq_mlx.errors import HookError

lock = threading.RLock()
GEMMA2 = "Attention.__call__"
"""Name of the hook in mlx_lm.models.gemma2."""

replaced: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
"""Name of the hook → (original, replacement), while installed."""


def install() -> None:
    """Replace mlx-lm's functions; does nothing where that is done already.

    Raises:
        HookError: mlx-lm is outside the contract's version window, or a function's parameters have changed.
        Nothing is replaced then.
    """
    with lock:
        if replaced:
            return
        check_version()
        hooks = tq_contract.load().hooks
        originals = {hook.name: original_of(hook) for hook in hooks}
        replacements = {name: replacement_of(name, originals) for name in originals}
        for name, original in originals.items():
            rebind(original, replacements[name])
            replaced[name] = (original, replacements[name])
        for cls in generation.PERSISTED:
            setattr(importlib.import_module("mlx_lm.models.cache"), cls.__name__, cls)


def uninstall() -> None:
    """Put mlx-lm's own functions back everywhere; does nothing where they are in place."""
    with lock:
        for original, replacement in replaced.values():
            rebind(replacement, original)
        if replaced:
            for cls in generation.PERSISTED:
                delattr(importlib.import_module("mlx_lm.models.cache"), cls.__name__)
        replaced.clear()


def installed() -> bool:
    """Return whether the replacements are in place."""
    return bool(replaced)


@contextmanager
def hooks_installed() -> Generator[None]:
    """Install the hooks for a ``with`` block and leave them afterwards as they were before it."""
    before = installed()
    install()
    try:
        yield
    finally:
        if not before:
            uninstall()


def original_of(hook: Hook) -> Callable[..., Any]:
    """Return the upstream function; HookError if it is missing or lacks a parameter that we rely on."""
    module = importlib.import_module(hook.module)
    try:
        function = attrgetter(hook.name)(module)
    except AttributeError:
        raise HookError(f"{hook.module} has no {hook.name}: use mlx-lm {tq_contract.load().windows.mlx_lm}") from None
    parameters = inspect.signature(function).parameters
    if missing := [name for name in hook.parameters if name not in parameters]:
        raise HookError(
            f"{hook.module}.{hook.name} has no parameters {missing}: use mlx-lm {tq_contract.load().windows.mlx_lm}"
        )
    return function


def replacement_of(name: str, originals: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    """Return the function that stands in for the original of that name, with its name, documentation and signature."""
    bound: tuple[Callable[..., Any], ...] = (originals[name],)
    if name == "generate_step":
        bound = (originals[name], originals["make_prompt_cache"])
    function = gemma2.attention if name == GEMMA2 else getattr(generation, name)

    @functools.wraps(originals[name])  # a function and no partial: as a method, it is to be bound to its object
    def replacement(*args: Any, **kwargs: Any) -> Any:
        return function(*bound, *args, **kwargs)

    return replacement


def rebind(old: Callable[..., Any], new: Callable[..., Any]) -> None:
    """Replace ``old`` by ``new`` wherever a loaded module, or a class with a hooked method, has a name for it."""
    for place in [*sys.modules.values(), *hooked_classes()]:
        for name in [name for name, value in list(vars(place).items()) if value is old]:
            setattr(place, name, new)


def hooked_classes() -> list[type]:
    """Return the classes of which a method is hooked."""
    methods = [hook for hook in tq_contract.load().hooks if "." in hook.name]
    return [attrgetter(hook.name.rpartition(".")[0])(importlib.import_module(hook.module)) for hook in methods]


def check_version() -> None:
    version = importlib.metadata.version("mlx-lm")
    window = tq_contract.load().windows.mlx_lm
    if not tq_contract.admits(window, version):
        raise HookError(
            f"mlx-lm {version} is outside the contract's window {window}: install a version within it, "
            "or set TURBOQUANT_HOOKS=off to import tq_mlx without hooks"
        )
