"""Whether a machine is fit: what is installed and set here, against the contract, without importing MLX.

`survey` looks at the machine; `judge` compares what it saw with the contract and looks at nothing else.
"""

import ctypes
import json
import os
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError
from typing import Literal

from msgspec import Struct

from tq_contract.records import Contract
from tq_contract.window import admits

OPENBLAS = "libopenblas.so.0"

OVERRIDING = ("TURBOQUANT_", "MLX_", "DYLD_", "LD_PRELOAD", "PYTHONPATH")
"""Beginnings of the names of variables that change what our packages, MLX or Python's imports do."""

Verdict = Literal["good", "advice", "warning", "problem"]
"""`advice` costs time at most, `warning` rules out certification, `problem` rules out running."""


class Installed(Struct, frozen=True):
    """An installed distribution; an editable one is a source tree, not the files of a wheel."""

    version: str
    editable: bool = False


class Machine(Struct, frozen=True):
    """What matters of a machine.

    Attributes:
        python: version of the interpreter.
        system: as the contract names it, such as Darwin.
        machine: as the contract names it, such as arm64.
        installed: by distribution name; absent ones are None.
        overrides: environment variables that change what the packages do.
        openblas: whether OpenBLAS can be loaded; None where MLX does not profit from it.
    """

    python: str
    system: str
    machine: str
    installed: Mapping[str, Installed | None]
    overrides: Mapping[str, str]
    openblas: bool | None


class Item(Struct, frozen=True):
    """One thing that was looked at: what was found, what that means and what to do about it."""

    what: str
    found: str
    verdict: Verdict
    remedy: str = ""


def survey(contract: Contract) -> Machine:
    """Look at this machine."""
    names = ("mlx", "mlx-lm", *(package.name for package in contract.packages))
    return Machine(
        python=platform.python_version(),
        system=platform.system(),
        machine=platform.machine(),
        installed={name: installed(name) for name in names},
        overrides=overriding(),
        openblas=_openblas_loads() if platform.system() == "Linux" else None,
    )


def judge(machine: Machine, contract: Contract) -> tuple[Item, ...]:
    """Compare a machine with the contract."""
    return (
        _python(machine, contract),
        _platform(machine, contract),
        *_packages(machine, contract),
        *_overrides(machine),
        *_openblas(machine),
    )


def installed(name: str) -> Installed | None:
    """Return what the metadata of an installed distribution says, or None where it is absent."""
    try:
        distribution = Distribution.from_name(name)
    except PackageNotFoundError:
        return None
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return Installed(distribution.version, bool(origin.get("dir_info", {}).get("editable")))


def overriding() -> dict[str, str]:
    """Return the environment variables that are set and rule out certification, sorted by name."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(OVERRIDING)}


def _python(machine: Machine, contract: Contract) -> Item:
    window = contract.windows.python
    if admits(window, machine.python):
        return Item("python", machine.python, "good")
    return Item("python", machine.python, "problem", f"Use Python {window}.")


def _platform(machine: Machine, contract: Contract) -> Item:
    here = (machine.system, machine.machine)
    roles = {one.role for one in contract.platforms if (one.system, one.machine) == here}
    found = " ".join(here)
    if "certified" in roles:
        return Item("platform", found, "good")
    certified = [f"{one.system} {one.machine}" for one in contract.platforms if one.role == "certified"]
    limit = "tested, not certified" if roles else "neither certified nor tested"
    return Item("platform", f"{found} ({limit})", "warning", f"Certify on {' or '.join(certified)}.")


def _packages(machine: Machine, contract: Contract) -> Iterator[Item]:
    windows = {"mlx": contract.windows.mlx, "mlx-lm": contract.windows.mlx_lm}
    for name, found in machine.installed.items():
        wanted = windows.get(name, f"=={contract.release}")
        if found is None:
            yield Item(name, "not installed", "warning", f"Install {name}{wanted} to run models.")
        elif not _fits(found.version, windows.get(name), contract.release):
            yield Item(name, found.version, "problem", f"Install {name}{wanted}.")
        elif found.editable:
            yield Item(name, f"{found.version} (editable)", "warning", "Install its wheel: a source tree can change.")
        else:
            yield Item(name, found.version, "good")


def _fits(version: str, window: str | None, release: str) -> bool:
    return version == release if window is None else admits(window, version)


def _overrides(machine: Machine) -> Iterator[Item]:
    for name, value in machine.overrides.items():
        yield Item(name, value, "warning", f"Unset it: it changes what runs (unset {name}).")


def _openblas(machine: Machine) -> Iterator[Item]:
    if machine.openblas is True:
        yield Item("openblas", OPENBLAS, "good")
    elif machine.openblas is False:
        remedy = (
            "Install it (Debian: libopenblas0-pthread): matrix products on a CPU are about 30 times slower without."
        )
        yield Item("openblas", f"{OPENBLAS} is missing", "advice", remedy)


def _openblas_loads() -> bool:
    try:
        ctypes.CDLL(OPENBLAS)
    except OSError:
        return False
    return True
