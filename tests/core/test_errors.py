"""The errors' family: one base for callers of ours, ValueError for everyone else's."""

import pytest

from tq_core import InvalidCodecError, NonFiniteError, TurboQuantError, UnsupportedHeadDimError


@pytest.mark.parametrize("error", [InvalidCodecError, NonFiniteError, UnsupportedHeadDimError])
def test_each_is_ours_and_a_value_error(error: type[Exception]) -> None:
    assert issubclass(error, TurboQuantError)
    assert issubclass(error, ValueError)


def test_base_is_no_value_error() -> None:
    assert not issubclass(TurboQuantError, ValueError)
