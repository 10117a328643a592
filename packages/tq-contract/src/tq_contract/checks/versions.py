"""Whether every package states the contract's release and version windows, in lockstep."""

import re
from collections.abc import Iterator
from typing import Any

from tq_contract.checks.checkout import CONTRACT, Checkout, line_of
from tq_contract.checks.finding import Finding

LOCK = "uv.lock"
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<extras>\[[^]]*\])?\s*(?P<window>[^;]*)")


def versions(checkout: Checkout) -> Iterator[Finding]:
    """Each `pyproject.toml` and the lock agree with the contract's release and windows."""
    for source in checkout.sources:
        yield from _project(checkout, source.project, source.metadata)
    root = checkout.toml("pyproject.toml").get("project", {})
    yield from _stated(checkout, "pyproject.toml", "requires-python", root, checkout.contract.windows.python)
    yield from _lock(checkout)


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


def _lock(checkout: Checkout) -> Iterator[Finding]:
    locked = {package["name"]: package.get("version") for package in checkout.toml(LOCK).get("package", [])}
    for package in checkout.contract.packages:
        if locked.get(package.name) != checkout.contract.release:
            message = f"locks {package.name} {locked.get(package.name)}, but the release is {checkout.contract.release}"
            line = line_of(checkout.read(LOCK), f'name = "{package.name}"\n')
            yield Finding(LOCK, line, message, "Run uv lock.")
