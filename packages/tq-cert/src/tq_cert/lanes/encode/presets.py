"""Which presets of the contract the timed lanes measure."""

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
