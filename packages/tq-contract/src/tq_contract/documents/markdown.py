"""The little Markdown that the renderers need."""

from collections.abc import Iterable, Sequence

NOTICE = "<!-- Generated from contract.json by `tq-contract docs --write`. Edit the contract, not this file. -->"

NOTHING = "–"
"""In a cell without content."""


def document(title: str, *blocks: str) -> str:
    """Return a whole document: the notice, the title and the blocks, with blank lines between them."""
    return "\n\n".join((NOTICE, f"# {title}", *blocks)) + "\n"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """Return a table; the columns `right` are aligned there, as numbers are."""
    numbers = set(right)
    rule = ("---:" if column in numbers else "---" for column in range(len(heading)))
    lines = [_row(heading), f"|{'|'.join(rule)}|", *(_row(row) for row in rows)]
    return "\n".join(lines)


def bullets(items: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {item}" for item in items)


def code(text: str) -> str:
    """Return text as code."""
    return f"`{text}`"


def codes(names: Iterable[str]) -> str:
    """Return names as code, separated by commas, or a dash where there are none."""
    return ", ".join(map(code, names)) or NOTHING


def number(value: float) -> str:
    """Return a number without trailing zeros."""
    return f"{value:.10g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
