"""Tables of text: on the terminal with rich, in files as GitHub Markdown."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

LEAST_WIDTH = 160

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Grid:
    """A titled table of finished cells, the first column being names, and lines below it."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def show(grids: Iterable[Grid]) -> None:
    """Print the tables on standard output, wider than a narrow terminal rather than with numbers cut off."""
    console = Console(width=max(Console().width, LEAST_WIDTH), highlight=False, markup=False)
    for grid in grids:
        table = Table(title=grid.title, title_justify="left")
        for index, heading in enumerate(grid.headings):
            table.add_column(heading, justify="right" if index else "left", no_wrap=not index)
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
        for note in grid.notes:
            console.print(note, style="dim", soft_wrap=True)


def megabytes(count: float) -> str:
    """Bytes in megabytes, one decimal."""
    return f"{count / 1e6:.1f}"


def against(value: float, dense: float | None) -> str:
    """A number as a multiple of the dense run's; nothing where there was none."""
    return f"{value / dense:.3f}" if dense else ""


def markdown(grids: Iterable[Grid]) -> str:
    """The tables as GitHub Markdown, each under a heading."""
    return "\n".join(line for grid in grids for line in markdown_lines(grid))


def markdown_lines(grid: Grid) -> list[str]:
    lines = [f"### {grid.title}", ""]
    lines.append(markdown_row(grid.headings))
    lines.append(markdown_row(["---", *["---:"] * (len(grid.headings) - 1)]))
    lines += [markdown_row(row) for row in grid.rows]
    return [*lines, "", *(f"{note}  " for note in grid.notes), *([""] if grid.notes else [])]


def markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
