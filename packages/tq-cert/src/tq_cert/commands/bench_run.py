"""How a lane on a model runs from the command line: runtime, model, text, measurement, then the report."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tq_cert.files import write_whole
from tq_cert.lanes import runtime
from tq_cert.lanes.envelope import Envelope, ModelInfo, TextInfo, report_of, to_json
from tq_cert.lanes.journal import Journal, journal_path
from tq_cert.lanes.provenance import Provenance
from tq_cert.lanes.quality.methods import Method
from tq_cert.lanes.quality.record import QualityRow, WindowMeasurement
from tq_cert.lanes.quality.settings import Scope
from tq_cert.lanes.tables import Grid, markdown, show
from tq_cert.lanes.texts import cut, read_text
from tq_cert.progress import Progress, open_progress

Settings = TypeVar("Settings")
Row = TypeVar("Row")


@dataclass(frozen=True)
class Measured:
    """Finished rows and everything that their report says of them."""

    rows: tuple[QualityRow, ...]
    model: ModelInfo
    text: TextInfo
    provenance: Provenance
    journal: Journal[WindowMeasurement]

    def envelope(self, lane: str, settings: Settings, rows: tuple[Row, ...]) -> Envelope[Settings, Row]:
        """The report of a lane that made its rows from these."""
        return report_of(lane, settings, self.provenance, rows, model=self.model, text=self.text)


def measure(
    arguments: argparse.Namespace, scope: Scope, methods: Sequence[Method], *, keep_positions: bool
) -> Measured:
    """Load the model and measure the methods on the text, going on where an interrupted run stopped."""
    text = read_text(arguments.text)
    runtime.require()
    from tq_cert.lanes.models import load_model
    from tq_cert.lanes.quality.lane import quality_rows

    journal = Journal(journal_path(arguments.out), WindowMeasurement)
    with open_progress(quiet=arguments.json) as progress:
        loaded = load_model(arguments.model, progress)
    windows = cut(text, loaded.tokenizer, context=scope.context, windows=scope.windows)
    provenance = runtime.provenance()
    with open_progress(quiet=arguments.json, unit="tokens") as progress, runtime.refusals():
        rows = quality_rows(
            loaded, windows, methods, scope, provenance, journal, progress, keep_positions=keep_positions
        )
    return Measured(rows, loaded.info, windows.info, provenance, journal)


def timed(
    lane: str,
    rows_of: Callable[[Settings, Any, Progress], tuple[Row, ...]],
    settings: Settings,
    model: str | None,
    *,
    quiet: bool,
    unit: str = "turns",
) -> Envelope[Settings, Row]:
    """Load the model, where there is one, time everything by ``rows_of``, in so many units, and return the report."""
    from tq_cert.lanes.models import load_model

    with open_progress(quiet=quiet) as progress:
        loaded = None if model is None else load_model(model, progress)
    provenance = runtime.provenance()
    with open_progress(quiet=quiet, unit=unit) as progress, runtime.refusals():
        rows = rows_of(settings, loaded, progress)
    return report_of(lane, settings, provenance, rows, model=None if loaded is None else loaded.info)


def publish(arguments: argparse.Namespace, report: Envelope[Settings, Row], grids: Iterable[Grid]) -> None:
    """Write the report where it was asked for, and print it."""
    content, grids = to_json(report), tuple(grids)
    if arguments.out is not None:
        write_whole(arguments.out, content)
    if arguments.markdown is not None:
        write_whole(arguments.markdown, markdown(grids).encode())
    if arguments.json:
        print(content.decode(), end="")
    else:
        show(grids)
