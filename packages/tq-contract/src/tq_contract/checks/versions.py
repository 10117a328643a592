"""Whether every package states the contract's release and version windows, in lockstep."""

import re
from collections.abc import Iterator
from typing import Any

from tq_contract.checks.checkout import Checkout, line_of
from tq_contract.checks.finding import Finding
from tq_contract.source_tree import CONTRACT

LOCK = "uv.lock"
LEAST_PYTHON = {
    "pyproject.toml": (r'^target-version = "py(\d)(\d+)"', r'^pythonVersion = "(\d+)\.(\d+)"'),
    "Makefile": (r"version_info >= \((\d+), (\d+)\)", r"Python (\d+)\.(\d+) or newer"),
    "scripts/fetch_uv.sh": (r"version_info >= \((\d+), (\d+)\)", r"No Python (\d+)\.(\d+) or newer"),
    ".python-version": (r"^(\d+)\.(\d+)$",),
}
"""Where tools that cannot read the contract are told of the oldest Python: file → how it is written there."""

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<extras>\[[^]]*\])?\s*(?P<window>[^;]*)")


def versions(checkout: Checkout) -> Iterator[Finding]:
    """Each `pyproject.toml`, the lock and the tools' settings agree with the contract's release and windows."""
    for source in checkout.sources:
        yield from _project(checkout, source.project, source.metadata)
    root = checkout.toml("pyproject.toml").get("project", {})
    yield from _stated(checkout, "pyproject.toml", "requires-python", root, checkout.contract.windows.python)
    yield from _lock(checkout)
    for file, patterns in LEAST_PYTHON.items():
        for pattern in patterns:
            yield from _least_python(checkout, file, pattern)


def _project(checkout: Checkout, file: str, project: dict[str, Any]) -> Iterator[Finding]:
    contract = checkout.contract
    yield from _stated(checkout, file, "version", project, contract.release)
    yield from _stated(checkout, file, "requires-python", project, contract.windows.python)
    ours = {package.name for package in contract.packages}
    wanted = {"mlx": contract.windows.mlx, "mlx-lm": contract.windows.mlx_lm}
    wanted |= dict.fromkeys(ours, f"=={contract.release}")
    for requirement in requirements(project):
        match = _REQUIREMENT.match(requirement)
        name, window = (match["name"], match["window"].strip()) if match else (requirement, "")
        if name in wanted and window != wanted[name]:
            message = f"requires {requirement!r}, but the contract says {name}{wanted[name]}"
            line = line_of(checkout.read(file), requirement)
            yield Finding(file, line, message, f"Write {name}{wanted[name]} here, or change {CONTRACT}.")


def requirements(project: dict[str, Any]) -> list[str]:
    """Return all requirements of a `[project]` table, those of its extras included."""
    extras: dict[str, list[str]] = project.get("optional-dependencies", {})
    return [*project.get("dependencies", []), *(one for extra in extras.values() for one in extra)]


def _stated(checkout: Checkout, file: str, field: str, project: dict[str, Any], wanted: str) -> Iterator[Finding]:
    if project.get(field) != wanted:
        message = f"{field} is {project.get(field)!r}, but the contract says {wanted!r}"
        line = line_of(checkout.read(file), f"\n{field} =")
        yield Finding(file, line and line + 1, message, f"Write {wanted!r} here, or change {CONTRACT}.")


def _least_python(checkout: Checkout, file: str, pattern: str) -> Iterator[Finding]:
    least = checkout.contract.windows.python.removeprefix(">=").partition(",")[0]
    found = [*re.finditer(pattern, checkout.read(file), re.MULTILINE)]
    if not found:
        yield Finding(file, 0, f"does not say that Python {least} is the oldest", f"Write it as {pattern}.")
    for match in found:
        if f"{match[1]}.{match[2]}" != least:
            message = f"says {match[0]!r}, but the contract says Python {checkout.contract.windows.python}"
            line = checkout.read(file).count("\n", 0, match.start()) + 1
            yield Finding(file, line, message, f"Write {least} here, or change {CONTRACT}.")


def _lock(checkout: Checkout) -> Iterator[Finding]:
    locked = {package["name"]: package.get("version") for package in checkout.toml(LOCK).get("package", [])}
    for package in checkout.contract.packages:
        if locked.get(package.name) != checkout.contract.release:
            message = f"locks {package.name} {locked.get(package.name)}, but the release is {checkout.contract.release}"
            line = line_of(checkout.read(LOCK), f'name = "{package.name}"\n')
            yield Finding(LOCK, line, message, "Run uv lock.")
