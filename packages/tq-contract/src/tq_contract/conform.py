"""Values against the records: every place where a document's shape is not what they ask for.

msgspec's own conversion stops at the first mismatch. This walk reads the same type information and
goes on; a document in which it finds nothing is one that msgspec converts.
"""

import json
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from msgspec import inspect

from tq_contract.places import at
from tq_contract.problems import Problem
from tq_contract.strict_json import Json, Unreadable


def conform(value: Json, expected: inspect.Type, place: str = "") -> Iterator[Problem]:
    """Yield every problem of `value`, which stands at `place`, as a value of type `expected`."""
    if isinstance(value, Unreadable):
        return
    match expected:
        case inspect.Metadata():
            yield from conform(value, expected.type, place)
        case inspect.StructType():
            yield from _conform_record(value, expected, place)
        case inspect.UnionType():
            yield from _conform_union(value, expected, place)
        case inspect.VarTupleType():
            yield from _conform_array(value, expected, place)
        case _:
            if not _is_scalar(value, expected):
                yield _not_allowed(value, expected, place)


def _conform_record(value: Json, expected: inspect.StructType, place: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _not_allowed(value, expected, place)
        return
    names = [field.encode_name for field in expected.fields]
    if expected.tag_field is not None:
        names.insert(0, expected.tag_field)
    missing = [name for name in names if name not in value]
    for name in missing:
        yield Problem(at(place, name), "missing", f"Add the field {name}.")
    for name in value:
        if name not in names:
            remedy = _suggestion(name, missing) or f"Remove it; the fields are {', '.join(names)}."
            yield Problem(at(place, name), "unknown field", remedy)
    if expected.tag_field is not None and expected.tag_field in value:
        tag = inspect.LiteralType((str(expected.tag),))
        yield from conform(value[expected.tag_field], tag, at(place, expected.tag_field))
    for field in expected.fields:
        name = field.encode_name
        if name in value and not _is_right_text(value[name], field.type):
            yield from conform(value[name], field.type, at(place, name))


def _conform_union(value: Json, expected: inspect.UnionType, place: str) -> Iterator[Problem]:
    """Check one type that may be null, or a union of records that a tag field tells apart and that may be null."""
    present = tuple(member for member in expected.types if not isinstance(member, inspect.NoneType))
    nullable = len(present) < len(expected.types)
    if value is None and nullable:
        return
    problems = (
        conform(value, present[0], place)
        if len(present) == 1
        else _conform_tagged(value, inspect.UnionType(present), place)
    )
    yield from (_or_null(problem) if nullable and problem.place == place else problem for problem in problems)


def _conform_tagged(value: Json, expected: inspect.UnionType, place: str) -> Iterator[Problem]:
    records = {member.tag: member for member in _tagged(expected)}
    tag_field = next(iter(records.values())).tag_field or ""
    if not isinstance(value, dict):
        yield _not_allowed(value, expected, place)
    elif tag_field not in value:
        remedy = f"Add the field {tag_field}: {_quoted(list(records))}."
        yield Problem(at(place, tag_field), "missing", remedy)
    else:
        tag = value[tag_field]
        if isinstance(tag, str) and tag in records:
            yield from _conform_record(value, records[tag], place)
        else:
            yield from conform(tag, inspect.LiteralType(tuple(records)), at(place, tag_field))


def _conform_array(value: Json, expected: inspect.VarTupleType, place: str) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield _not_allowed(value, expected, place)
        return
    if len(value) < (expected.min_length or 0):
        yield Problem(place, "too short", f"Write at least {expected.min_length} here.")
    for index, item in enumerate(value):
        if not _is_right_text(item, expected.item_type):
            yield from conform(item, expected.item_type, at(place, index))


def _tagged(union: inspect.UnionType) -> list[inspect.StructType]:
    records = [member for member in union.types if isinstance(member, inspect.StructType)]
    if len(records) != len(union.types):
        raise NotImplementedError("only unions of tagged records are in use")
    return records


def _is_right_text(value: Json, expected: inspect.Type) -> bool:
    """Say whether a value is text and as it should be: most values are, and need no walk and no place."""
    return type(value) is str and isinstance(expected, inspect.StrType) and _is_scalar(value, expected)


def _is_scalar(value: Json, expected: inspect.Type) -> bool:
    """Say whether a value of a type without parts is of that type and in its range."""
    match expected:
        case inspect.StrType():
            return (
                isinstance(value, str)
                and len(value) >= (expected.min_length or 0)
                and (expected.pattern is None or re.fullmatch(expected.pattern, value) is not None)
            )
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            low, high = _limits(expected)
            return type(value) is int and low <= value <= high
        case inspect.FloatType():
            low, high = _limits(expected)
            return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        case inspect.LiteralType():
            return any(type(value) is type(known) and value == known for known in expected.values)
        case _:
            raise NotImplementedError(f"records do not use {type(expected).__name__} yet")


def _limits(expected: inspect.IntType | inspect.FloatType) -> tuple[float, float]:
    """Return the closed range of a number; every one has both ends."""
    if expected.ge is None or expected.le is None:
        raise NotImplementedError("a number states its least and its greatest value")
    return expected.ge, expected.le


def _not_allowed(value: Json, expected: inspect.Type, place: str) -> Problem:
    wanted = _description(expected)
    known = expected.values if isinstance(expected, inspect.LiteralType) else ()
    remedy = _suggestion(value, [name for name in known if isinstance(name, str)])
    return Problem(place, f"{_shown(value)} is not {wanted}", remedy or f"Write {wanted}.")


def _or_null(problem: Problem) -> Problem:
    """Say that null would do as well; a suggestion of a name is left as it is."""
    return Problem(
        problem.place, f"{problem.message} or null", re.sub(r"^(Write .*)\.$", r"\1 or null.", problem.remedy)
    )


def _description(expected: inspect.Type) -> str:
    match expected:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            low, high = _limits(expected)
            return f"an integer from {low} to {high}"
        case inspect.FloatType():
            low, high = _limits(expected)
            return f"a number from {low:g} to {high:g}"
        case inspect.StrType():
            return f"a string matching {expected.pattern}" if expected.pattern else "a non-empty string"
        case inspect.LiteralType():
            return _quoted(expected.values)
        case inspect.VarTupleType():
            return "an array"
        case _:
            return "an object"


def _quoted(values: Sequence[object]) -> str:
    listed = ", ".join(json.dumps(value) for value in values)
    return listed if len(values) == 1 else f"one of {listed}"


def _shown(value: Json) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value) if not isinstance(value, Unreadable) else "this"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _suggestion(value: Json, known: list[str]) -> str | None:
    matches = get_close_matches(value[:80], known, n=1) if isinstance(value, str) else []
    return f"Did you mean {matches[0]}?" if matches else None
