"""Version windows: `>=A` or `>=A,<B`, and whether a version lies in one."""

import re

_NUMBERS = r"[0-9]{1,9}(\.[0-9]{1,9})*"
OPEN_WINDOW = f"^>={_NUMBERS}(,<{_NUMBERS})?$"
CLOSED_WINDOW = f"^>={_NUMBERS},<{_NUMBERS}$"

_VERSION = re.compile(r"v?(?P<release>[0-9]+(?:\.[0-9]+)*)(?P<suffix>[-_.a-z0-9]*)(?:\+.*)?")
_BEFORE_RELEASE = re.compile(r"^[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview)(?:[-_.]?[0-9]|$)|dev")


def admits(window: str, version: str) -> bool:
    """Say whether a version lies in a window of the contract.

    Pre-releases count as just below their release, and those of the upper end are outside, as in
    PEP 440. A version that cannot be read lies in no window.

    Args:
        window: `>=A` or `>=A,<B`, as in the contract.
        version: a version as Python packages write it.
    """
    match = _VERSION.fullmatch(version.strip().lower())
    if match is None:
        return False
    low, high = ends(window)
    release = _numbers(match["release"])
    if release == low:
        return _BEFORE_RELEASE.search(match["suffix"]) is None
    return low < release and (high is None or release < high)


def ends(window: str) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the lower end, included, and the upper end, excluded, as comparable numbers.

    Raises:
        ValueError: the window is not written as a window.
    """
    if re.fullmatch(OPEN_WINDOW, window) is None:
        raise ValueError(f"{window!r} is not a version window")
    low, _, high = window.partition(",")
    return _numbers(low.removeprefix(">=")), _numbers(high.removeprefix("<")) if high else None


def _numbers(release: str) -> tuple[int, ...]:
    numbers = [int(part) for part in release.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
