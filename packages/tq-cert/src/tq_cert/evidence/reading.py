"""Bytes to an evidence record, strictly: in the one form in which it is written, or every problem with its place.

Nothing that JSON readers differ on survives the comparison with that form: equal keys, spaces, other numbers for the
same value.
"""

from collections.abc import Callable
from functools import cache
from typing import Literal, TypeVar

import msgspec

from tq_cert.evidence.canonical import encode
from tq_contract.conform import conform
from tq_contract.problems import Problem
from tq_contract.strict_json import parse

R = TypeVar("R", bound=msgspec.Struct)


class NotARecordError(ValueError):
    """The bytes are not a record of the wanted kind.

    Attributes:
        problems: every problem found, never empty.
        at_fault: the text, which is no JSON; the shape of what it says; or only the form in which it is written.
        version: the schema version that the document states, if it is a document with one.
    """

    def __init__(
        self, problems: list[Problem], at_fault: Literal["text", "shape", "form"], version: int | None = None
    ) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.at_fault = at_fault
        self.version = version


def decode(content: bytes, kind: type[R], write: Callable[[R], bytes] = encode) -> R:
    """Read a record.

    Args:
        content: what was written.
        kind: of the record.
        write: what writes such a record.

    Raises:
        NotARecordError: with every problem and its place.
    """
    try:
        record = msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explained(content, kind, str(error)) from error
    if write(record) != content:
        raise _explained(content, kind, None)
    return record


def _explained(content: bytes, kind: type[msgspec.Struct], message: str | None) -> NotARecordError:
    """What is wrong with bytes that cannot be read, or that say the record in another form."""
    document, problems = parse(content)
    if problems:
        return NotARecordError(problems, "text")
    problems = [*conform(document, _type_of(kind))]
    if problems or message:
        version = document.get("schema_version") if isinstance(document, dict) else None
        problems = problems or [Problem("", message or "", "Write what the record asks for.")]
        return NotARecordError(problems, "shape", version if type(version) is int else None)
    other = Problem("", "not in the form in which records are written", "Write it as it was, byte for byte.")
    return NotARecordError([other], "form")


@cache
def _type_of(kind: type[msgspec.Struct]) -> msgspec.inspect.Type:
    return msgspec.inspect.type_info(kind)
