"""Install and uninstall the replacements in mlx-lm: every name bound to an original function, and nothing else.

Most model modules bind scaled_dot_product_attention when they are imported, so it is not enough to replace it where it
is defined: every loaded module's name that is the original function is replaced too, and modules imported later find
the replacement. Uninstalling puts the original back wherever the replacement is found.

A name may be bound to more than one original: somebody else may have wrapped the function in one place, or reloaded the
module that defines it. Each gets a replacement of its own, so that what passes through reaches what it reached before.
"""

import functools
import importlib
import importlib.metadata
import inspect
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

import tq_contract
from tq_contract import Hook
from tq_mlx import gemma2, generation, speculative
from tq_mlx.compressed import CompressedCache
from tq_mlx.errors import HookError
from tq_mlx.reader import marked

Function = Callable[..., Any]

REPLACEMENTS: dict[str, Function] = {
    function.__name__: function
    for function in (
        generation.make_prompt_cache,
        generation.generate_step,
        speculative.speculative_generate_step,
        generation.scaled_dot_product_attention,
    )
} | {"Attention.__call__": gemma2.attention}
"""Name of the hook → what stands in for it; its first argument is the original."""

PERSISTED = get_args(CompressedCache)
"""Classes that mlx-lm's load_prompt_cache looks up by name in its own cache module."""


@dataclass(frozen=True)
class Rebinding:
    """One function of mlx-lm and what stands in its place, while installed.

    Attributes:
        hook: by which it was found.
        home: the module that defines it, or the class if it is a method.
    """

    hook: Hook
    home: Any
    original: Function
    replacement: Function


lock = threading.RLock()
rebindings: list[Rebinding] = []
wanted = False
"""Whether install() was called last, not uninstall()."""
blocks = 0
"""``with hooks_installed()`` blocks that run now, in any thread."""


def install() -> None:
    """Replace mlx-lm's functions; where that is done already, only what was bound anew since (a reloaded module).

    Raises:
        HookError: mlx-lm is outside the contract's version window, or a function's parameters have changed.
        Nothing is replaced then.
    """
    global wanted
    with lock:
        put_in_place()
        wanted = True


def uninstall() -> None:
    """Put mlx-lm's own functions back everywhere; does nothing where they are in place.

    While ``with hooks_installed()`` blocks run, in whatever thread, that happens when the last of them ends.
    """
    global wanted
    with lock:
        wanted = False
        if not blocks:
            take_out()


def installed() -> bool:
    """Return whether every hooked function is replaced where mlx-lm defines it."""
    with lock:
        ours = {rebinding.replacement for rebinding in rebindings}
        return bool(ours) and all(defined(hook) in ours for hook in tq_contract.load().hooks)


@contextmanager
def hooks_installed() -> Generator[None]:
    """Install the hooks for a ``with`` block and leave them afterwards as they were before it.

    Blocks may be nested and may overlap in several threads: the hooks stay until the last one ends.
    """
    global blocks
    with lock:
        put_in_place()
        blocks += 1
    try:
        yield
    finally:
        with lock:
            blocks -= 1
            if not blocks and not wanted:
                take_out()


def put_in_place() -> None:
    check_version()
    # Everything is checked before anything is replaced.
    found = [(hook, original) for hook in tq_contract.load().hooks for original in originals_of(hook)]
    fresh = [Rebinding(hook, home_of(hook), original, replacement_of(hook, original)) for hook, original in found]
    rebindings.extend(fresh)
    for rebinding in fresh:
        rebind(rebinding.home, rebinding.original, rebinding.replacement)
    cache = importlib.import_module("mlx_lm.models.cache")
    for cls in PERSISTED:
        setattr(cache, cls.__name__, cls)


def take_out() -> None:
    for rebinding in rebindings:
        rebind(rebinding.home, rebinding.replacement, rebinding.original)
    if rebindings:
        cache = importlib.import_module("mlx_lm.models.cache")
        for cls in PERSISTED:
            delattr(cache, cls.__name__)
    rebindings.clear()


def originals_of(hook: Hook) -> list[Function]:
    """Return every function that is to be replaced: the one where mlx-lm defines it, and others defined there before.

    Raises:
        HookError: it is missing or lacks a parameter that we rely on.
    """
    window = tq_contract.load().windows.mlx_lm
    importlib.import_module(hook.module)
    function = defined(hook)
    if function is None:
        raise HookError(f"{hook.module} has no {hook.name}: use mlx-lm {window}")
    parameters = inspect.signature(function).parameters
    if missing := [name for name in hook.parameters if name not in parameters]:
        raise HookError(f"{hook.module}.{hook.name} has no parameters {missing}: use mlx-lm {window}")
    ours = {rebinding.replacement for rebinding in rebindings}
    bound = [function, *(value for value in bound_to(hook.name) if value.__module__ == hook.module)]
    return list(dict.fromkeys(value for value in bound if value not in ours))


def home_of(hook: Hook) -> Any:
    """Return the loaded module, or class within it, where mlx-lm defines what is hooked; None if there is none."""
    home: Any = sys.modules.get(hook.module)
    for name in hook.name.split(".")[:-1]:
        home = getattr(home, name, None)
    return home


def defined(hook: Hook) -> Any:
    """Return what is bound there now, or None."""
    return getattr(home_of(hook), hook.name.rpartition(".")[2], None)


def bound_to(name: str) -> Iterator[Function]:
    """Yield what mlx-lm's loaded modules bind that name to, where it is a function."""
    for key, module in list(sys.modules.items()):
        if key.partition(".")[0] == "mlx_lm":
            value = names_in(module).get(name)
            if inspect.isfunction(value):
                yield value


def replacement_of(hook: Hook, original: Function) -> Function:
    """Return the function that stands in for the original, with its name, documentation and signature."""
    stand_in = REPLACEMENTS[hook.name]

    @functools.wraps(original)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        return stand_in(original, *args, **kwargs)

    return marked(replacement)


def rebind(home: Any, old: Function, new: Function) -> None:
    """Replace ``old`` by ``new`` at home and wherever a loaded module has a name for it."""
    # The definition goes first: a module that another thread imports from then on binds the new one.
    for place in [home, *sys.modules.values()]:
        names = names_in(place)
        for name in [name for name, value in list(names.items()) if value is old]:
            if isinstance(place, type):
                setattr(place, name, new)  # a class guards its names
            else:
                names[name] = new


def names_in(place: Any) -> Any:
    """Return the names of a module or class as they are now: one that loads lazily is not made to load."""
    try:
        return object.__getattribute__(place, "__dict__")
    except AttributeError:
        return {}


def check_version() -> None:
    """Raise HookError unless mlx-lm is within the contract's window."""
    version = importlib.metadata.version("mlx-lm")
    window = tq_contract.load().windows.mlx_lm
    if not tq_contract.admits(window, version):
        raise HookError(
            f"mlx-lm {version} is outside the contract's window {window}: install a version within it, "
            "or set TURBOQUANT_HOOKS=off to import tq_mlx without hooks"
        )
