"""What the encode lane measures: presets of the contract, and head dimensions."""

import tq_contract
from tq_cert.errors import OptionError


def own_presets() -> tuple[str, ...]:
    """The presets that we recommend: those of the contract's classification "supported"."""
    return tuple(preset.name for preset in tq_contract.load().presets if preset.classification == "supported")


def parse_presets(text: str) -> tuple[str, ...]:
    """The presets of a list with commas between, each by its canonical name.

    Raises:
        OptionError: one is not in the contract, or comes twice.
    """
    try:
        names = tuple(tq_contract.load().preset(part.strip()).name for part in text.split(","))
    except tq_contract.UnknownPresetError as error:
        raise OptionError("--presets", str(error), "choose from these") from error
    if len(set(names)) < len(names):
        raise OptionError("--presets", f"{text!r} names a preset twice", "name it once")
    return names


def parse_head_dims(text: str) -> tuple[int, ...]:
    """The head dimensions of a list with commas between.

    Raises:
        OptionError: one is no number, or comes twice.
    """
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError("--head-dims", f"{text!r} is no list of numbers", "write it like 64,128") from error
    if len(set(numbers)) < len(numbers):
        raise OptionError("--head-dims", f"{text!r} names a number twice", "name it once")
    return numbers
