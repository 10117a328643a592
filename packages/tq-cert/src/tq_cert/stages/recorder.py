"""What a stage has measured and checked so far."""

import time
import traceback
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Self

from tq_cert.evidence import Case, Series
from tq_cert.evidence.fields import LARGEST


class CheckFailedError(Exception):
    """A check of a stage did not hold; the message says how."""


class StageNotRunError(Exception):
    """The stage cannot be run on this hardware; the message says why."""


@dataclass(frozen=True)
class At:
    """What samples were taken on; a series and its baseline agree in all but the preset."""

    family: str | None = None
    preset: str | None = None
    context: int | None = None
    prompt: str | None = None
    seed: int | None = None

    def with_preset(self, preset: str) -> Self:
        """The same with a preset."""
        return replace(self, preset=preset)


NOWHERE = At()


class Recorder:
    """Collects a stage's series, cases and artifacts, in their order.

    Attributes:
        cases: checks so far.
        series: samples so far.
        artifacts: files by path within the bundle.
    """

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.series: list[Series] = []
        self.artifacts: dict[str, bytes] = {}

    def add(
        self,
        name: str,
        unit: str,
        values: Iterable[float],
        at: At = NOWHERE,
    ) -> None:
        """Keep samples of one quantity.

        Raises:
            CheckFailedError: there are none, or one that no record can hold, such as NaN.
        """
        numbers = tuple(float(value) for value in values)
        check(bool(numbers), f"{name} has no samples")
        for place, number in enumerate(numbers):
            check(abs(number) <= LARGEST, f"sample {place} of {name} is {number}")
        self.series.append(Series(name, unit, at.family, at.preset, at.context, at.prompt, at.seed, numbers))

    @contextmanager
    def case(self, name: str) -> Generator[None]:
        """Record a check: failed if the block raises CheckFailedError, an error if it raises anything else.

        The stage goes on after either: what does not hold for one family or preset hides nothing about the others. On
        standard error, which is the stage's log, is printed where an error came from.
        """
        started = time.perf_counter()
        outcome: Literal["passed", "failed", "error"] = "passed"
        message = None
        try:
            yield
        except CheckFailedError as failure:
            outcome, message = "failed", str(failure)
        except Exception as error:
            traceback.print_exc()
            outcome, message = "error", f"{type(error).__name__}: {error}"
        self.cases.append(Case(name, outcome, round(time.perf_counter() - started, 6), message))

    def skipped(self, name: str, reason: str) -> None:
        """Record a check that does not apply here."""
        self.cases.append(Case(name, "skipped", 0.0, reason))


def check(holds: bool, message: str) -> None:
    """Raise CheckFailedError with the message unless it holds."""
    if not holds:
        raise CheckFailedError(message)
