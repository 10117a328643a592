"""What the strict parser returns beside its problems."""

import pytest

from tq_contract.strict_json import UNREADABLE, parse


def test_good_text_is_plain_values():
    assert parse(b' {"a": [1, 2.5, null, true, "\xc3\xa9"], "b": {}} ') == (
        {"a": [1, 2.5, None, True, "é"], "b": {}},
        [],
    )


def test_the_first_of_equal_keys_is_read_and_the_place_reported_once():
    value, problems = parse(b'{"a": {"b": 1, "b": 2, "b": 3}}')
    assert value == {"a": {"b": 1}}
    assert [(problem.place, problem.message) for problem in problems] == [
        ("/a/b", "written 3 times in one object"),
    ]


def test_equal_keys_are_equal_after_escapes():
    _, problems = parse(b'{"a": 1, "\\u0061": 2}')
    assert [problem.place for problem in problems] == ["/a"]


@pytest.mark.parametrize(
    "text", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e999", b"9" * 5000, b"-" + b"9" * 5000]
)
def test_a_number_that_is_none_becomes_unreadable(text):
    value, problems = parse(b"[0, " + text + b"]")
    assert value == [0, UNREADABLE]
    assert [problem.place for problem in problems] == ["/1"]


def test_a_whole_surrogate_pair_is_a_character():
    assert parse(b'"\\ud83d\\ude00"') == ("\U0001f600", [])
