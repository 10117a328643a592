"""What a page says, as values: sections of charts and tables, before anything is drawn."""

from dataclasses import dataclass

from tq_cert.lanes.tables import Grid


@dataclass(frozen=True)
class Point:
    """A place in a chart; low and high bound what was measured there, a name is written beside it."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    name: str = ""


@dataclass(frozen=True)
class Curve:
    """Points under one name: joined by a line, or each by itself."""

    label: str
    points: tuple[Point, ...]
    line: bool = True


@dataclass(frozen=True)
class Chart:
    """A figure: what it shows, in one sentence too, with its axes."""

    title: str
    sentence: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Section:
    """Charts and tables that belong together, and what a reader has to know of them."""

    title: str
    text: str
    charts: tuple[Chart, ...] = ()
    grids: tuple[Grid, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: of the page.
        verdict: one word of a bundle; None for reports, which have none.
        summary: what was found, in sentences.
        facts: what it was found on, as names and values.
        sections: in order.
    """

    title: str
    verdict: str | None
    summary: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
