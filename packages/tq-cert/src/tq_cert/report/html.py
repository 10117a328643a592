"""A page as one HTML file that needs nothing else: no script, no font, no image from anywhere."""

import re
from importlib.resources import files
from typing import Any

from tq_cert.errors import MissingDependencyError
from tq_cert.lanes.tables import Grid
from tq_cert.report.draw import svg
from tq_cert.report.page import Chart, Page

TEMPLATE = "page.html.j2"
NUMBER = re.compile(r"[-+]?\d[\d.e+-]*( ?%| of \d+| to [-+]?[\d.]+)?")
"""A figure, a share, a part of a whole, or an interval."""


def html(page: Page) -> str:
    """The page, every text of it escaped.

    Raises:
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    jinja = template_library()
    environment = jinja.Environment(autoescape=True, undefined=jinja.StrictUndefined, trim_blocks=True)
    template = environment.from_string(files("tq_cert.report").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    drawings = iter([svg(chart, f"chart{index}") for index, chart in enumerate(charts(page))])
    return template.render(
        page=page,
        drawing=lambda: jinja.utils.markupsafe.Markup(next(drawings)),
        numeric_columns=numeric_columns,
    )


def numeric_columns(grid: Grid) -> tuple[bool, ...]:
    """Which columns hold numbers and nothing else: those are aligned to the right."""
    columns = (tuple(row[index] for row in grid.rows) for index in range(len(grid.headings)))
    return tuple(any(column) and all(not cell or NUMBER.fullmatch(cell) for cell in column) for column in columns)


def charts(page: Page) -> list[Chart]:
    """All charts, in order."""
    return [chart for section in page.sections for chart in section.charts]


def template_library() -> Any:
    """Jinja2.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingDependencyError("jinja2", "write the page", "plots") from error
    return jinja2
