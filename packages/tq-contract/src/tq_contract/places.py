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
    found = [("", document)]
    for step in pattern.split("/"):
        if step == "*":
            arrays = [(place, value) for place, value in found if isinstance(value, list)]
            found = [(at(place, index), item) for place, value in arrays for index, item in enumerate(value)]
        else:
            members = [(place, value) for place, value in found if isinstance(value, dict)]
            found = [(at(place, step), value[step]) for place, value in members if step in value]
    return iter(found)


def texts(document: Json, pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the strings among `select`'s values."""
    return ((place, value) for place, value in select(document, pattern) if isinstance(value, str))


def objects(document: Json, pattern: str) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yield the objects among `select`'s values."""
    return ((place, value) for place, value in select(document, pattern) if isinstance(value, dict))
