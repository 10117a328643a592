"""How problems read."""

import json

import pytest

from tq_contract import ContractError, Problem, loads

CODECS = 'one of "mse", "uniform", "prod", "polar", "topk"'


def test_a_problem_reads_as_place_message_and_remedy():
    assert str(Problem("/a/0", "missing", "Add it.")) == "/a/0: missing. Add it."
    assert str(Problem("", "not JSON", "Mend it.")) == "(document): not JSON. Mend it."
    assert str(Problem("/a\nb\ud800", "unknown field", "Remove it.")).isascii()
    assert "\n" not in str(Problem("/a\nb", "unknown field", "Remove it."))


def test_an_error_lists_every_problem():
    problems = [Problem("/a", "missing", "Add it."), Problem("/b", "missing", "Add it.")]
    assert str(ContractError(problems, "x.json")).splitlines() == [
        "x.json: 2 problems",
        "  /a: missing. Add it.",
        "  /b: missing. Add it.",
    ]
    assert str(ContractError(problems[:1], "x.json")).startswith("x.json: 1 problem\n")
    assert ContractError(problems, "x.json").problems == tuple(problems)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            '"bits":3',
            '"bits":9',
            "/presets/0/parameters/keys/bits: 9 is not an integer from 1 to 8. Write an integer from 1 to 8.",
        ),
        (
            '"gain":"norm"',
            '"gain":"nrom"',
            '/presets/0/parameters/keys/gain: "nrom" is not one of "least_squares", "norm", "norm_preserving". '
            "Did you mean norm?",
        ),
        ('"release":"0.1.0"', '"relaese":"0.1.0"', "/relaese: unknown field. Did you mean release?"),
        (
            '"codec":"mse",',
            "",
            f"/presets/0/parameters/keys/codec: missing. Add the field codec: {CODECS}.",
        ),
        (
            '"codec":"mse"',
            '"codec":"msee"',
            f'/presets/0/parameters/keys/codec: "msee" is not {CODECS}. Did you mean mse?',
        ),
        (
            '"mean":4.4',
            '"mean":"4"',
            '/presets/5/parameters/key_bits/mean: "4" is not a number from 2 to 8. Write a number from 2 to 8.',
        ),
        ('"aliases":[]', '"aliases":{}', "/presets/0/aliases: an object is not an array. Write an array."),
        ('"state":{', '"state":{"a":1,', "/state/a: unknown field. Remove it; the fields are schema_version."),
    ],
)
def test_messages_say_what_to_do(old, new, line, document):
    text = json.dumps(document, separators=(",", ":"))
    assert old in text
    with pytest.raises(ContractError) as caught:
        loads(text.replace(old, new, 1))
    assert f"  {line}" in str(caught.value).splitlines()
