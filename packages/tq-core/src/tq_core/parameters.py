"""Checks that codecs' parameters have in common."""

from tq_core.errors import InvalidCodecError


def check_count(name: str, value: object, least: int, most: int | None = None, *, otherwise: str = "") -> None:
    """Raise InvalidCodecError unless ``value`` is a whole number in range; ``otherwise`` says what else is allowed."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        span = f"{least} or more" if most is None else f"{least} to {most}"
        raise InvalidCodecError(f"{name} is {value!r}: use {span}{otherwise}")


def check_type(name: str, value: object, kind: type) -> None:
    """Raise InvalidCodecError unless ``value`` is of that type."""
    if not isinstance(value, kind):
        raise InvalidCodecError(f"{name} is {value!r}: use a {kind.__name__}")
