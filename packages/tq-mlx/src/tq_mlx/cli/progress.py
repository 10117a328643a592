"""Progress for people: a bar on a terminal's standard error, nothing elsewhere."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Report = Callable[[int, int], None]
"""Called with (done, total) while a phase of the work goes on."""

Phases = Callable[[str], Report]
"""Begins a phase under a title and returns what reports on it."""


@contextmanager
def progress_bar(*, quiet: bool) -> Generator[Phases]:
    """Yield a function that begins a phase; one bar shows the phase that was begun last."""
    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:

        def begin(title: str) -> Report:
            for finished in display.task_ids:
                display.remove_task(finished)
            task = display.add_task(title, total=None)
            return lambda done, total: display.update(task, completed=done, total=total)

        yield begin
