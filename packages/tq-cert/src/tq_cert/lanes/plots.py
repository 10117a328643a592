"""Plots of lanes, drawn by matplotlib into a file whose suffix names the format."""

from io import BytesIO
from pathlib import Path
from typing import Any

from tq_cert.errors import MissingDependencyError, OptionError
from tq_cert.files import write_whole

FORMATS = ("png", "svg", "pdf")


def check_plot(path: Path) -> None:
    """Raise before anything is measured if the plot could not be written.

    Raises:
        OptionError: the suffix names no format.
        MissingDependencyError: matplotlib is not installed.
    """
    if path.suffix.removeprefix(".") not in FORMATS:
        raise OptionError("--plot", f"{path.name!r} names no format", f"use a suffix from {', '.join(FORMATS)}")
    figure_class()


def figure_class() -> Any:
    """Matplotlib's figure, which needs no display.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "draw the plot", "plots") from error
    return Figure


def save(figure: Any, path: Path) -> None:
    """Write the figure; the same report gives the same bytes, because no date is in them."""
    content = BytesIO()
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
    figure.savefig(content, format=path.suffix.removeprefix("."), dpi=150, metadata=dates)
    write_whole(path, content.getvalue())
