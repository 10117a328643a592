"""JSON text to plain values, refusing what Python's parser lets pass, with the place of each.

Python keeps the last of two equal keys, reads NaN and Infinity, turns 1e999 into infinity and
accepts half a surrogate pair. Here each is a problem. The value at such a place becomes
`UNREADABLE`, which later checks pass over, so that one mistake is reported once.
"""

import json
import math
from typing import Any, TypeAlias, cast

from tq_contract.places import at
from tq_contract.problems import Problem


class Unreadable:
    """Stands for a value that was already reported."""


UNREADABLE = Unreadable()

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | Unreadable | None"


def parse(data: bytes) -> tuple[Json, list[Problem]]:
    """Return the document and the problems of its text."""
    problems: list[Problem] = []
    try:
        raw = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_Members,
            parse_constant=_NotANumber,
            parse_float=_finite,
            parse_int=_integer,
        )
        return _plain(raw, "", problems), problems
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not valid UTF-8"
        return UNREADABLE, [Problem("", message, "Save the file as UTF-8.")]
    except json.JSONDecodeError as error:
        message = f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        return UNREADABLE, [Problem("", message, "Correct the JSON syntax there.")]
    except RecursionError:
        return UNREADABLE, [Problem("", "nested too deeply", "Nothing that belongs here nests so deep.")]


class _Members(list[tuple[str, Any]]):
    """An object's members as written, equal keys included."""


class _NotANumber(str):
    """The text of a number that JSON or this machine does not have."""

    __slots__ = ()


def _finite(text: str) -> float | _NotANumber:
    number = float(text)
    return number if math.isfinite(number) else _NotANumber(text)


def _integer(text: str) -> int | _NotANumber:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts
        return _NotANumber(text)


def _plain(raw: Any, place: str, problems: list[Problem]) -> Json:
    if isinstance(raw, _Members):
        return _plain_object(raw, place, problems)
    if isinstance(raw, list):
        items = enumerate(cast("list[Any]", raw))
        return [_plain(item, at(place, index), problems) for index, item in items]
    if isinstance(raw, _NotANumber):
        problems.append(Problem(place, f"{raw[:20]} is not a number", "Write a finite number."))
        return UNREADABLE
    if isinstance(raw, str) and not _is_unicode(raw):
        problems.append(Problem(place, "half a surrogate pair", "Write the whole character."))
        return UNREADABLE
    return raw


def _plain_object(members: _Members, place: str, problems: list[Problem]) -> Json:
    seen: dict[str, Json] = {}
    repeated: dict[str, int] = {}
    for key, raw in members:
        if not _is_unicode(key):
            problems.append(Problem(at(place, key), "half a surrogate pair in a name", "Write the whole character."))
        elif key in seen:
            repeated[key] = repeated.get(key, 1) + 1
        elif type(raw) is str and raw.isascii():  # most members are: no place has to be written for them
            seen[key] = raw
        else:
            seen[key] = _plain(raw, at(place, key), problems)
    problems += (
        Problem(at(place, key), f"written {times} times in one object", "Keep one of them.")
        for key, times in repeated.items()
    )
    return seen


def _is_unicode(text: str) -> bool:
    """Return whether the text has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
