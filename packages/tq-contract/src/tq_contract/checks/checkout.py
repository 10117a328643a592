"""A checkout as the checks see it: contract, packages, documents and workflows, read and never imported."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from tq_contract.checks.module import Module, parsed
from tq_contract.load import load_bytes
from tq_contract.records import Contract
from tq_contract.source_tree import CONTRACT, markdown_files


class CheckoutError(Exception):
    """A checkout that cannot be read: the message names the file and the remedy."""


@dataclass(frozen=True)
class Source:
    """A package's folder: what its `pyproject.toml` says and its modules.

    Attributes:
        name: the distribution's name as its folder is called.
        project: path of its `pyproject.toml` within the checkout.
        metadata: the `[project]` table.
        modules: by dotted name.
    """

    name: str
    project: str
    metadata: dict[str, Any]
    modules: dict[str, Module]


@dataclass(frozen=True)
class Checkout:
    """The source tree at `root`, and the folder with built distributions if there is one to check.

    Everything is read once, when it is first asked for.

    Raises:
        CheckoutError: a file is missing, unreadable or not of its language.
        ContractError: the checkout's contract is not valid.
    """

    root: Path
    dist: Path | None = None

    @cached_property
    def contract(self) -> Contract:
        """The checkout's own contract, which need not be the installed one."""
        return _contract(self.read(CONTRACT))

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """The packages in the folder `packages`, by name."""
        return tuple(self._source(path.parent) for path in sorted(self.root.glob("packages/*/pyproject.toml")))

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """Every module of every package."""
        return tuple(module for source in self.sources for module in source.modules.values())

    @cached_property
    def scripts(self) -> tuple[Module, ...]:
        """The programs beside the packages, each a module of no package."""
        return tuple(self._module(self.place(path), path.stem) for path in sorted(self.root.glob("scripts/*.py")))

    @cached_property
    def documents(self) -> dict[str, str]:
        """The Markdown files for readers, by path."""
        return {self.place(path): self.read(self.place(path)) for path in markdown_files(self.root)}

    @cached_property
    def workflows(self) -> dict[str, str]:
        """The workflow files by path."""
        paths = sorted(self.root.glob(".github/workflows/*.y*ml"))
        return {self.place(path): self.read(self.place(path)) for path in paths}

    @cached_property
    def make_targets(self) -> frozenset[str]:
        """The targets that the Makefile has rules for."""
        rules = (line.partition(":") for line in self.read("Makefile").splitlines() if line[:1].isalnum())
        return frozenset(
            target for targets, colon, after in rules if colon and after[:1] != "=" for target in targets.split()
        )

    def place(self, path: Path) -> str:
        """Return a path's place within the checkout."""
        return path.relative_to(self.root).as_posix()

    def read(self, place: str) -> str:
        """Return a file's text."""
        try:
            return (self.root / place).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckoutError(f"{place}: {error}. Name the root of a checkout of this project.") from error

    def toml(self, place: str) -> dict[str, Any]:
        """Return a TOML file's content."""
        try:
            return _toml(self.read(place))
        except tomllib.TOMLDecodeError as error:
            raise CheckoutError(f"{place}: {error}. Correct its TOML.") from error

    def _source(self, folder: Path) -> Source:
        project = self.place(folder / "pyproject.toml")
        modules = {module.name: module for module in self._modules(folder / "src")}
        return Source(folder.name, project, self.toml(project).get("project", {}), modules)

    def _modules(self, src: Path) -> Iterator[Module]:
        above = len(self.place(src)) + 1
        for place in sorted(self.place(path) for path in src.rglob("*.py")):
            name = place[above:].removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            yield self._module(place, name)

    def _module(self, place: str, name: str) -> Module:
        module = Module(name, place, self.read(place))
        try:
            parsed(module.source)
        except (SyntaxError, ValueError) as error:  # ValueError: a NUL byte
            raise CheckoutError(f"{place}: {error}. Correct its Python.") from error
        return module


@lru_cache(maxsize=64)
def _contract(text: str) -> Contract:
    return load_bytes(text.encode(), CONTRACT)


@lru_cache(maxsize=64)
def _toml(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def line_of(text: str, part: str) -> int:
    """Return the line on which a text first holds a part, or 0."""
    before, found, _ = text.partition(part)
    return before.count("\n") + 1 if found else 0
