"""What a person sees of a run: a live table on a terminal, lines in a log, or nothing."""

import sys
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from tq_cert.evidence import StageRecord
from tq_cert.evidence.policy.load import CURRENT, load_edition
from tq_cert.evidence.verdict import derive_stage

STYLES = {"held": "green", "failed": "red", "not run": "yellow", "running": "cyan", "waiting": "dim"}
RUNNING = "running"
WAITING = "waiting"


class Silent:
    """Tells nobody anything."""

    def begins(self, stage: str) -> None:
        """Ignored."""

    def ends(self, record: StageRecord, *, resumed: bool) -> None:
        """Ignored."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None


class Lines(Silent):
    """A line on standard error when a stage starts and when it ends."""

    def __init__(self, families: Sequence[str]) -> None:
        self.families = families
        self.started = time.monotonic()

    def begins(self, stage: str) -> None:
        """Print its name."""
        self.line(stage, RUNNING)

    def ends(self, record: StageRecord, *, resumed: bool) -> None:
        """Print what became of it."""
        outcome, problems = outcome_of(record, self.families)
        self.line(record.stage, f"{outcome}{' before' if resumed else ''}")
        for problem in problems:
            self.line(record.stage, problem)

    def line(self, stage: str, text: str) -> None:
        """Print one line with the seconds since the start."""
        print(f"[{time.monotonic() - self.started:7.1f} s] {stage}: {text}", file=sys.stderr, flush=True)


class LiveTable(Silent):
    """All stages at once, on a terminal."""

    def __init__(self, console: Console, stages: Sequence[str], families: Sequence[str]) -> None:
        self.families = families
        self.rows: dict[str, tuple[str, str]] = dict.fromkeys(stages, (WAITING, ""))
        self.seconds = dict.fromkeys(stages, 0.0)
        self.running: str | None = None
        self.started = 0.0
        self.live = Live(console=console, get_renderable=self.table, refresh_per_second=2)

    def begins(self, stage: str) -> None:
        """Mark it."""
        self.running, self.started = stage, time.monotonic()
        self.rows[stage] = (RUNNING, "")

    def ends(self, record: StageRecord, *, resumed: bool) -> None:
        """Show what became of it."""
        outcome, problems = outcome_of(record, self.families)
        if not resumed:
            self.seconds[record.stage] = time.monotonic() - self.started
        self.running = None
        self.rows[record.stage] = (outcome, "; ".join(problems) or ("done before" if resumed else ""))

    def table(self) -> Table:
        """The table as it is now."""
        table = Table("stage", "outcome", "seconds", "problems")
        for stage, (outcome, text) in self.rows.items():
            seconds = time.monotonic() - self.started if stage == self.running else self.seconds[stage]
            style = STYLES.get(outcome, "")
            table.add_row(stage, f"[{style}]{outcome}[/]", f"{seconds:.0f}" if seconds else "", escape(text))
        return table

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()


def outcome_of(record: StageRecord, families: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """What a recorded stage comes to, and why it does not hold."""
    policy = load_edition(CURRENT).stage(record.stage)
    if record.status == "not_run" or policy is None:
        return "not run", (record.reason or "not run",)
    outcome = derive_stage(policy, record, families, load_edition(CURRENT))
    return outcome.outcome, outcome.problems


def open_table(stages: Sequence[str], families: Sequence[str], *, quiet: bool) -> Silent:
    """The display that suits where standard error goes."""
    if quiet:
        return Silent()
    console = Console(stderr=True)
    return LiveTable(console, stages, families) if console.is_terminal else Lines(families)
