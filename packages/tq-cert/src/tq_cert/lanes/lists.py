"""What options take as a list with commas between: numbers, or names that are known."""

from collections.abc import Sequence

from tq_cert.errors import OptionError


def parse_numbers(option: str, text: str) -> tuple[int, ...]:
    """The whole positive numbers of a list, in its order.

    Raises:
        OptionError: one is no such number, or comes twice.
    """
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(option, f"{text!r} is no list of numbers", "write it like 2,4") from error
    if len(set(numbers)) < len(numbers) or min(numbers) < 1:
        raise OptionError(option, f"{text!r} names a number twice or one below 1", "name each once, from 1 on")
    return numbers


def parse_names(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """The names of a list, in its order.

    Raises:
        OptionError: one is not known, or comes twice.
    """
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in known:
            raise OptionError(option, f"{name!r} is not known", f"choose from {', '.join(known)}")
        if names.count(name) > 1:
            raise OptionError(option, f"{name!r} comes twice", "name it once")
    return names
