"""Generated parts between markers."""

import pytest

from tq_contract.documents.parts import MarkerError, put_part

OPEN, CLOSE = "<!-- contract:a -->", "<!-- /contract:a -->"


@pytest.mark.parametrize("before", ["", "\nold\n", "\n|x|\n\n|y|\n"])
def test_what_stands_between_is_replaced(before):
    text = put_part(f"one {OPEN}{before}{CLOSE} two", "a", "new")
    assert text == f"one {OPEN}\nnew\n{CLOSE} two"
    assert put_part(text, "a", "new") == text


@pytest.mark.parametrize(
    "text", ["", OPEN, CLOSE, f"{CLOSE}{OPEN}", f"{OPEN}{CLOSE}{OPEN}{CLOSE}", f"{OPEN}{OPEN}{CLOSE}"]
)
def test_markers_stand_once_each_in_order(text):
    with pytest.raises(MarkerError, match="contract:a"):
        put_part(text, "a", "new")
