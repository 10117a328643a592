"""Where in a checkout of the source the contract and the documents stand."""

from pathlib import Path

CONTRACT = "packages/tq-contract/src/tq_contract/contract.json"

MARKDOWN = ("*.md", "docs/**/*.md", "examples/**/*.md", "packages/*/*.md")


def markdown_files(root: Path) -> list[Path]:
    """Return the Markdown files for readers, sorted: README, `docs`, `examples`, the packages' own READMEs."""
    return sorted({file for pattern in MARKDOWN for file in root.glob(pattern) if file.is_file()})
