"""The grid: every combination of bits, codec and levers, as methods of the quality lane."""

import itertools
from collections.abc import Sequence
from typing import Literal

import msgspec

import tq_contract
from tq_cert.lanes.lists import parse_names
from tq_cert.lanes.quality.methods import TurboQuant

Codec = Literal["mse", "uniform"]
Lever = Literal["centering", "search", "sinks"]
CODECS: tuple[Codec, ...] = ("mse", "uniform")
LEVERS: tuple[Lever, ...] = ("centering", "search", "sinks")
OURS = next(preset.parameters for preset in tq_contract.load().presets if preset.classification == "supported")
"""What a lever that is on sets, as in the first preset of ours."""


class GridPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One combination.

    Attributes:
        codec: of keys and values.
        k_bits: of the keys' codes.
        v_bits: of the values' codes.
        centering: whether the keys' mean is taken off.
        search: whether the encoder tries several scales.
        sinks: whether the first tokens stay dense.
    """

    codec: Codec
    k_bits: int
    v_bits: int
    centering: bool = True
    search: bool = True
    sinks: bool = True

    @property
    def name(self) -> str:
        """Codec and bits, and the levers that are off."""
        off = [f" no-{lever}" for lever in LEVERS if not getattr(self, lever)]
        return f"{self.codec} k{self.k_bits}v{self.v_bits}{''.join(off)}"

    @property
    def method(self) -> TurboQuant:
        """The configuration, to be measured."""
        return TurboQuant(
            self.name,
            {
                "keys": self.codec_parameters(self.k_bits),
                "values": self.codec_parameters(self.v_bits),
                "center_keys": self.centering,
                "center_block": OURS.center_block if self.centering else None,
                "sink_tokens": OURS.sink_tokens if self.sinks else 0,
            },
        )

    def codec_parameters(self, bits: int) -> dict[str, object]:
        return {"codec": self.codec, "bits": bits, "gain": "norm_preserving", "scale_search": self.search}


def make_grid(
    codecs: Sequence[Codec], k_bits: Sequence[int], v_bits: Sequence[int], levers: Sequence[Lever]
) -> tuple[GridPoint, ...]:
    """Every combination; the levers named are switched on and off, the others stay on."""
    centering, search, sinks = ((True, False) if lever in levers else (True,) for lever in LEVERS)
    return tuple(
        GridPoint(codec, k, v, *switches)
        for codec in codecs
        for k in k_bits
        for v in v_bits
        for switches in itertools.product(centering, search, sinks)
    )


def bits_list(option: str, text: str) -> tuple[int, ...]:
    """The bit widths of a list with commas between.

    Raises:
        OptionError: one is no number from 1 to 8, or comes twice.
    """
    return tuple(int(bits) for bits in parse_names(option, text, [str(bits) for bits in range(1, 9)]))


def names_list(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """The names of a list with commas between; "all" for every one, "none" for none.

    Raises:
        OptionError: one is not known, or comes twice.
    """
    if text in ("all", "none"):
        return tuple(known) if text == "all" else ()
    return parse_names(option, text, known)
