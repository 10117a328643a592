"""How long jobs report progress: bars on a terminal, plain lines in a log, or nothing.

A job has phases; each phase counts bytes, or items of another kind, up to a total known in advance. The display goes
to standard error, so that standard output carries results alone.
"""

import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress

BYTES = "bytes"


class Progress(Protocol):
    """What a job tells whoever watches it."""

    def phase(self, label: str, total: int) -> None:
        """A new phase starts; the one before it is complete."""
        ...

    def reach(self, done: int) -> None:
        """The current phase has done this much of its total."""
        ...

    def note(self, text: str) -> None:
        """One line worth reading."""
        ...


class Silent:
    """Shows nothing."""

    def phase(self, label: str, total: int) -> None:
        """Ignored."""

    def reach(self, done: int) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class PlainLines(Silent):
    """One line per phase on standard error, for logs."""

    def __init__(self, unit: str = BYTES) -> None:
        self._started = time.monotonic()
        self._unit = unit

    def phase(self, label: str, total: int) -> None:
        """Print the phase with the seconds since the start."""
        amount = f"{total / 1e6:.0f} MB" if self._unit == BYTES else f"{total} {self._unit}"
        self.note(f"{label} ({amount})")

    def note(self, text: str) -> None:
        """Print one line."""
        print(f"[{time.monotonic() - self._started:6.1f} s] {text}", file=sys.stderr, flush=True)


class Bars:
    """One live bar per phase on a terminal."""

    def __init__(self, console: Console, unit: str = BYTES) -> None:
        amount: list[ProgressColumn] = [DownloadColumn(), TransferSpeedColumn()]
        if unit != BYTES:
            amount = [MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn()]
        self._display = RichProgress(
            TextColumn("{task.description}"), BarColumn(), *amount, TimeElapsedColumn(), console=console
        )
        self._task: TaskID | None = None
        self._total = 0

    def phase(self, label: str, total: int) -> None:
        """Complete the bar before, start the next."""
        self._complete()
        self._total = total
        self._task = self._display.add_task(label, total=total)

    def reach(self, done: int) -> None:
        """Move the current bar."""
        if self._task is not None:
            self._display.update(self._task, completed=done)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._display.console.print(text, highlight=False, markup=False)

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._complete()
        self._display.stop()

    def _complete(self) -> None:
        if self._task is not None:
            self._display.update(self._task, completed=self._total)


def open_progress(*, quiet: bool, unit: str = BYTES) -> AbstractContextManager[Progress]:
    """The display that suits where standard error goes, counting bytes or items of the kind that `unit` names."""
    if quiet:
        return Silent()
    console = Console(stderr=True)
    return Bars(console, unit) if console.is_terminal else PlainLines(unit)
