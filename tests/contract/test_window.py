"""Which versions a window admits."""

import pytest

from tq_contract import admits
from tq_contract.window import ends

INSIDE = ["0.32", "0.32.0", "0.32.4", "0.32.99", "v0.32.4", "0.32.4+cpu", "0.32.1.dev20260101+abc", "0.32.5rc1"]
INSIDE += ["0.32.post1", "0.32.0.post2", " 0.32.4\n"]
OUTSIDE = ["0.31.9", "0.33", "0.33.0", "0.33.1", "1.0", "0.4", "0.33.0rc1", "0.33.0.dev1", "0.33a1", "0.33.0.post1"]
OUTSIDE += ["0.32.0rc1", "0.32.dev3", "0.32.0b2", "0.32a0", "1!0.32.4", "", "unknown", "0.32.4 or later"]


@pytest.mark.parametrize("version", INSIDE)
def test_inside(version):
    assert admits(">=0.32,<0.33", version)


@pytest.mark.parametrize("version", OUTSIDE)
def test_outside(version):
    assert not admits(">=0.32,<0.33", version)


def test_an_open_window_has_no_upper_end():
    assert admits(">=3.11", "3.11.0")
    assert admits(">=3.11", "99")
    assert not admits(">=3.11", "3.9.18")


def test_ends_compare_as_versions_do():
    assert ends(">=0.32.0,<0.33") == ((0, 32), (0, 33))
    assert ends(">=3.11") == ((3, 11), None)


@pytest.mark.parametrize("window", ["", "0.32", ">0.32", ">=0.32,<", ">=0.32,<0.33,!=0.32.1", ">=0.32\n"])
def test_what_is_no_window_is_refused(window):
    with pytest.raises(ValueError, match="not a version window"):
        admits(window, "0.32.4")
