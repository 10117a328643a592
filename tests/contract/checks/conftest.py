"""A copy of this checkout to damage, one file at a time."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tq_contract.checks.checkout import Checkout
from tq_contract.checks.finding import Finding
from tq_contract.checks.run import CHECKS

ROOT = Path(__file__).parents[3]
FOLDERS = ("packages", "docs", "scripts", ".github")
FILES = ("README.md", "Makefile", "pyproject.toml", ".python-version", "uv.lock", "waivers.toml")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "measurements"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def tree(pristine) -> Iterator["Tree"]:
    """The copy; what a test changes in it is put back afterwards."""
    tree = Tree(pristine)
    yield tree
    tree.restore()


class Tree:
    """A checkout whose files can be changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.before: dict[Path, bytes | None] = {}

    def change(self, file: str, edit: Callable[[str], str]) -> None:
        path = self.root / file
        self.write(file, edit(path.read_text(encoding="utf-8")))

    def replace(self, file: str, old: str, new: str) -> None:
        assert old in (self.root / file).read_text(encoding="utf-8"), f"{file} no longer holds {old!r}"
        self.change(file, lambda text: text.replace(old, new, 1))

    def append(self, file: str, text: str) -> None:
        self.change(file, lambda before: before + text)

    def write(self, file: str, text: str) -> None:
        path = self.root / file
        self._remember(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def remove(self, file: str) -> None:
        self._remember(self.root / file)
        (self.root / file).unlink()

    def restore(self) -> None:
        for path, data in self.before.items():
            if data is None:
                path.unlink()
            else:
                path.write_bytes(data)

    def find(self, check: str, dist: Path | None = None) -> set[Finding]:
        return set(CHECKS[check](Checkout(self.root, dist)))

    def _remember(self, path: Path) -> None:
        self.before.setdefault(path, path.read_bytes() if path.exists() else None)
