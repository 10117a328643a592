"""What can be wrong with a contract: one problem with its place, and the error that carries all."""

import json
from collections.abc import Sequence

from msgspec import Struct


class Problem(Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        place: JSON Pointer (RFC 6901) to it; the empty pointer is the whole document.
        message: what is wrong there.
        remedy: what to do about it.
    """

    place: str
    message: str
    remedy: str

    def __str__(self) -> str:
        place = json.dumps(self.place)[1:-1] or "(document)"
        return f"{place}: {self.message}. {self.remedy}"


class ContractError(ValueError):
    """A contract was not accepted.

    Attributes:
        problems: every problem found, never empty.
        source: what the contract was read from.
    """

    def __init__(self, problems: Sequence[Problem], source: str) -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__(self.problems, source)

    def __str__(self) -> str:
        count = len(self.problems)
        heading = f"{self.source}: {count} problem{'s' if count != 1 else ''}"
        return "\n".join([heading, *(f"  {problem}" for problem in self.problems)])
