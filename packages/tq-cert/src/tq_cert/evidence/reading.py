"""Bytes to an evidence record, strictly: all problems at once, each with its place."""

from functools import cache
from typing import TypeVar

import msgspec

from tq_contract.conform import conform
from tq_contract.problems import Problem
from tq_contract.strict_json import parse

R = TypeVar("R", bound=msgspec.Struct)


class NotARecordError(ValueError):
    """The bytes are not a record of the wanted kind.

    Attributes:
        problems: every problem found, never empty.
        text: whether the text itself is at fault, as JSON, and not only what it says.
        version: the schema version that the document states, if it is a document with one.
    """

    def __init__(self, problems: list[Problem], *, text: bool, version: int | None) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.text = text
        self.version = version


def decode(content: bytes, kind: type[R]) -> R:
    """Read a record.

    Raises:
        NotARecordError: with every problem and its place.
    """
    document, problems = parse(content)
    text = bool(problems)
    problems += conform(document, _type_of(kind))
    if problems:
        version = document.get("schema_version") if isinstance(document, dict) else None
        raise NotARecordError(problems, text=text, version=version if type(version) is int else None)
    return msgspec.convert(document, kind)


@cache
def _type_of(kind: type[msgspec.Struct]) -> msgspec.inspect.Type:
    return msgspec.inspect.type_info(kind)
