"""A checkout that holds just what the documents need."""

import shutil
from pathlib import Path

import pytest

from tq_contract.source_tree import CONTRACT

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path):
    for path in ("README.md", "docs", CONTRACT, "LICENSE", "Makefile"):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / path).is_dir() else shutil.copy)(ROOT / path, target)
    for link in (ROOT / "docs").glob("*.md"):  # links into the source lead somewhere too
        for name in ("tq-core", "tq-mlx", "tq-cert", "tq-contract"):
            for part in link.read_text().split(f"(../packages/{name}/")[1:]:
                file = tmp_path / "packages" / name / part.partition(")")[0]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
    return tmp_path
