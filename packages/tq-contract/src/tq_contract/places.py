"""Places in a JSON document: pointers to them, and finding values by the shape of their place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tq_contract.strict_json import Json


def at(place: str, key: str | int) -> str:
    """Return the JSON Pointer to a member of the object, or an item of the array, at `place`."""
    step = str(key)
    if "~" in step or "/" in step:
        step = step.replace("~", "~0").replace("/", "~1")
    return f"{place}/{step}"


def select(document: Json, pattern: str) -> Iterator[tuple[str, Json]]:
    """Yield every value whose place fits the pattern, with its place.

    Parts of the document that have another shape are passed over.

    Args:
        document: the value to search.
        pattern: steps joined by `/`; `*` is every item of an array, all else a member's name.
    """
    return _select(document, pattern.split("/"), "")


def _select(value: Json, steps: list[str], place: str) -> Iterator[tuple[str, Json]]:
    if not steps:
        yield place, value
        return
    step, *rest = steps
    if step == "*" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _select(item, rest, at(place, index))
    elif step != "*" and isinstance(value, dict) and step in value:
        yield from _select(value[step], rest, at(place, step))


def texts(document: Json, pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the strings among `select`'s values."""
    return ((place, value) for place, value in select(document, pattern) if isinstance(value, str))


def objects(document: Json, pattern: str) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yield the objects among `select`'s values."""
    return ((place, value) for place, value in select(document, pattern) if isinstance(value, dict))
