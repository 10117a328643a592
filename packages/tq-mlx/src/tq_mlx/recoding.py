"""Whether a compressed layer is what is asked for: codes are not recoded, so another configuration is refused."""

from dataclasses import fields, replace
from typing import Any

import tq_contract
from tq_mlx.config import TurboQuantConfig, with_bits
from tq_mlx.errors import UnsupportedCacheError


def check_same(index: int, own: TurboQuantConfig, asked: TurboQuantConfig) -> None:
    """Raise UnsupportedCacheError if a layer that is compressed as ``own`` is not what ``asked`` makes of a layer.

    Its codes have lost what they have lost: coding them again would add a second error to the first, silently.
    """
    if own == asked or may_choose(asked, own):
        return
    differing = [f.name for f in fields(own) if f.compare and getattr(own, f.name) != getattr(asked, f.name)]
    raise UnsupportedCacheError(
        f"layer {index} is compressed as {own.label}, and {asked.label} is asked for (they differ in "
        f"{', '.join(differing)}): a compressed cache is not recoded; start from a dense cache, or ask for what it is"
    )


def may_choose(asked: TurboQuantConfig, own: TurboQuantConfig) -> bool:
    """Return whether a rule for key bits may have given a layer the configuration ``own``.

    A layer keeps the bits that were chosen and its preset's name, not the rule: without a name any rule may have been.
    """
    if asked.key_bits is None or type(own.keys) is not type(asked.keys):
        return False
    bits: Any = getattr(own.keys, "bits", 0)
    if own != replace(asked, keys=with_bits(asked.keys, bits), key_bits=None):
        return False
    return own.preset in (None, asked.preset) or is_preset(own.preset, asked)


def is_preset(name: str, config: TurboQuantConfig) -> bool:
    """Return whether the fields are those of the contract's preset of that name."""
    known = {preset.name for preset in tq_contract.load().presets}
    return name in known and TurboQuantConfig.from_preset(name) == config
