"""The walk over type information: what the contract's own mutations (test_mutations.py) do not reach."""

from typing import Literal

import msgspec
import pytest
from msgspec import inspect

from tq_contract.conform import conform
from tq_contract.strict_json import UNREADABLE


class Tagged(msgspec.Struct, tag_field="kind", tag="only", forbid_unknown_fields=True):
    flag: bool


def places(value, kind):
    return [problem.place for problem in conform(value, inspect.type_info(kind))]


def test_a_single_tagged_record_checks_its_tag():
    assert places({"kind": "only", "flag": True}, Tagged) == []
    assert places({"kind": "other", "flag": True}, Tagged) == ["/kind"]
    assert places({"flag": True}, Tagged) == ["/kind"]


def test_a_literal_distinguishes_one_from_true_and_from_1_0():
    assert places(1, Literal[1]) == []
    assert places(True, Literal[1]) == [""]
    assert places(1.0, Literal[1]) == [""]


def test_what_was_reported_is_passed_over():
    assert places({"kind": "only", "flag": UNREADABLE}, Tagged) == []
    assert places(UNREADABLE, Tagged) == []


@pytest.mark.parametrize("kind", [float, dict[str, int], int | str, int])
def test_a_type_that_the_walk_does_not_know_is_refused_not_passed(kind):
    with pytest.raises(NotImplementedError):
        places(1, kind)
