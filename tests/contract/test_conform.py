"""The walk over type information: what the contract's own mutations (test_mutations.py) do not reach."""

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import inspect

from tq_contract import KeyBitsSpec, KeyNoiseSpec, MeanBitsSpec, PolarSpec, RotationSpec, TopkSpec
from tq_contract.conform import conform
from tq_contract.strict_json import UNREADABLE, parse


class Tagged(msgspec.Struct, tag_field="kind", tag="only", forbid_unknown_fields=True):
    flag: bool


def places(value, kind):
    return [problem.place for problem in conform(value, inspect.type_info(kind))]


def test_a_single_tagged_record_checks_its_tag():
    assert places({"kind": "only", "flag": True}, Tagged) == []
    assert places({"kind": "other", "flag": True}, Tagged) == ["/kind"]
    assert places({"flag": True}, Tagged) == ["/kind"]


EVERY_KIND = (None, True, False, 0, 1, 7, 1.0, 4.5, "x", "true", "4", [], ["x"], {}, {"kind": "only", "flag": True})
ACCEPTED = {
    bool: (True, False),
    Annotated[int, msgspec.Meta(ge=0, le=9)]: (0, 1, 7),
    Annotated[float, msgspec.Meta(ge=0, le=9)]: (0, 1, 7, 1.0, 4.5),
    Annotated[str, msgspec.Meta(min_length=1)]: ("x", "true", "4"),
    Literal["x", "y"]: ("x",),
    Annotated[tuple[Literal["x"], ...], msgspec.Meta(min_length=1)]: (["x"],),
    Tagged: ({"kind": "only", "flag": True},),
}


@pytest.mark.parametrize("kind", ACCEPTED, ids=str)
def test_every_kind_of_value_against_every_type(kind):
    for value in EVERY_KIND:
        right = any(type(value) is type(one) and value == one for one in ACCEPTED[kind])
        below = ["/kind", "/flag"] if value == {} and kind is Tagged else [""]
        assert places(value, kind) == ([] if right else below), value
        assert places(value, kind | None) == ([] if right or value is None else below), value


def test_a_literal_distinguishes_one_from_true_and_from_1_0():
    assert places(1, Literal[1]) == []
    assert places(True, Literal[1]) == [""]
    assert places(1.0, Literal[1]) == [""]


def test_what_was_reported_is_passed_over():
    assert places({"kind": "only", "flag": UNREADABLE}, Tagged) == []
    assert places(UNREADABLE, Tagged) == []


NUMBERS = [
    (4.25, True),
    (2, True),
    (2.0, True),
    (8, True),
    (8.0, True),
    (1.999, False),
    (8.001, False),
    (9, False),
    (-4.25, False),
    (10**400, False),
    (None, False),
    ("4", False),
    (True, False),
    ([4.25], False),
    ({}, False),
    (float("nan"), False),
    (float("inf"), False),
    (float("-inf"), False),
]


@pytest.mark.parametrize(("mean", "right"), NUMBERS)
def test_a_number_is_finite_in_its_range_and_never_text_or_true(mean, right):
    document = {"kind": "mean", "mean": mean}
    assert places(document, MeanBitsSpec) == ([] if right else ["/mean"])
    if right:
        assert msgspec.convert(document, MeanBitsSpec).mean == mean
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(document, MeanBitsSpec)


@pytest.mark.parametrize(("text", "places_found"), [(b"NaN", ["/mean"]), (b"Infinity", ["/mean"]), (b"4.25", [])])
def test_a_number_that_is_none_is_reported_as_text_alone(text, places_found):
    document, problems = parse(b'{"kind": "mean", "mean": ' + text + b"}")
    assert [problem.place for problem in problems] == places_found
    assert places(document, MeanBitsSpec) == []


@pytest.mark.parametrize(
    ("error", "right"), [(1e-6, True), (1, True), (10**6, True), (0, False), (9e-7, False), (1000001, False)]
)
def test_a_number_keeps_its_own_range(error, right):
    assert places({"kind": "noise", "error": error}, KeyNoiseSpec) == ([] if right else ["/error"])


def test_a_number_is_described_with_its_range():
    (problem,) = conform({"kind": "mean", "mean": 9}, inspect.type_info(MeanBitsSpec))
    assert str(problem) == "/mean: 9 is not a number from 2 to 8. Write a number from 2 to 8."


@pytest.mark.parametrize("kind", [RotationSpec | None, KeyBitsSpec | None])
def test_a_record_may_be_null_only_where_it_says_so(kind):
    assert places(None, kind) == []
    for wrong in ([], "null", 0, False):
        assert places(wrong, kind) == [""]


def test_a_record_that_may_be_null_is_checked_when_it_is_there():
    assert places({"kind": "hadamard", "seed": 0}, RotationSpec | None) == []
    assert places({"kind": "hadamard", "seed": -1}, RotationSpec | None) == ["/seed"]
    assert places({}, RotationSpec | None) == ["/kind", "/seed"]
    assert places(None, RotationSpec) == [""]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"kind": "mean", "mean": 4.25}, []),
        ({"kind": "noise", "error": 0.1}, []),
        ({"kind": "mean", "mean": None}, ["/mean"]),
        ({"kind": "mean", "error": 0.1}, ["/mean", "/error"]),  # a field of the other record
        ({"kind": "median", "mean": 9}, ["/kind"]),
        ({"kind": None, "mean": 4}, ["/kind"]),
        ({"mean": 4}, ["/kind"]),
        ({}, ["/kind"]),
    ],
)
def test_one_of_several_records_that_may_be_null(value, found):
    assert places(value, KeyBitsSpec | None) == found
    assert places(value, KeyBitsSpec) == found
    assert places(None, KeyBitsSpec) == [""]


@pytest.mark.parametrize(
    ("value", "right"), [(None, True), (1, True), (9, True), (0, False), (10, False), (True, False), (4.0, False)]
)
def test_an_integer_that_may_be_null(value, right):
    assert places(value, Annotated[int, msgspec.Meta(ge=1, le=9)] | None) == ([] if right else [""])


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (
            Annotated[int, msgspec.Meta(ge=1, le=9)] | None,
            0,
            "0 is not an integer from 1 to 9 or null. Write an integer from 1 to 9 or null.",
        ),
        (RotationSpec | None, [], "an array is not an object or null. Write an object or null."),
        (Literal["mean", "noise"] | None, "meen", '"meen" is not one of "mean", "noise" or null. Did you mean mean?'),
        (KeyBitsSpec | None, 4, "4 is not an object or null. Write an object or null."),
        (KeyBitsSpec, 4, "4 is not an object. Write an object."),
    ],
)
def test_null_is_offered_where_it_would_do(kind, value, said):
    (problem,) = conform(value, inspect.type_info(kind))
    assert f"{problem.message}. {problem.remedy}" == said


def test_null_is_not_offered_below():
    (problem,) = conform({"kind": "hadamard", "seed": -1}, inspect.type_info(RotationSpec | None))
    assert "null" not in str(problem)


ROTATION = {"kind": "identity", "seed": 0}


@pytest.mark.parametrize(
    ("level_bits", "found"),
    [
        ([1], []),
        ([8, 2, 1], []),
        ([], [""]),
        ([0], ["/0"]),
        ([4, 9], ["/1"]),
        (["2"], ["/0"]),
        ([4, True, 2.0, None, [2]], ["/1", "/2", "/3", "/4"]),
        (None, [""]),
        (4, [""]),
        ("42", [""]),
        ({"0": 4}, [""]),
    ],
)
def test_an_array_of_integers(level_bits, found):
    value = {"codec": "polar", "level_bits": level_bits, "gain": "norm", "rotation": ROTATION}
    assert places(value, PolarSpec) == [f"/level_bits{below}" for below in found]


@pytest.mark.parametrize(
    ("field", "value"), [("k", 0), ("k", 257), ("k", 2.0), ("group_size", 1), ("group_size", 257), ("bits", 9)]
)
def test_a_count_in_its_range(field, value):
    topk = {"codec": "topk", "bits": 4, "group_size": 256, "k": 256, "rotation": ROTATION}
    assert places(topk, TopkSpec) == []
    assert places(topk | {field: value}, TopkSpec) == [f"/{field}"]


@pytest.mark.parametrize("kind", [float, dict[str, int], int | str, int | str | None, int])
def test_a_type_that_the_walk_does_not_know_is_refused_not_passed(kind):
    with pytest.raises(NotImplementedError):
        places(1, kind)
