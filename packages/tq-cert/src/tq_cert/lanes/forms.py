"""The forms of codecs that lanes without a cache compare, as names and widths: values that need no MLX."""

from typing import Literal

import msgspec

from tq_cert.errors import OptionError
from tq_cert.lanes.lists import parse_names

Form = Literal["prod", "mse", "mse_search", "uniform", "polar"]
FORMS: tuple[Form, ...] = ("prod", "mse", "mse_search", "uniform", "polar")

WIDTHS: dict[Form, tuple[int, ...]] = {
    "prod": (1, 2, 3, 4, 5, 6, 7, 8),
    "mse": (1, 2, 3, 4, 5, 6, 7, 8),
    "mse_search": (1, 2, 3, 4, 5, 6, 7, 8),
    "uniform": (2, 3, 4, 5, 6, 8),
    "polar": (3, 4),
}
"""Form → bits that it comes in."""

LEGEND = (
    "prod: b - 1 bits and a 1-bit sketch; mse: the paper's Lloyd-Max form; mse_search: Lloyd-Max, uniform: an even "
    "grid, both with scale search and norm-preserving gain, as in our presets; polar: PolarQuant at full depth.",
)


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One codec of a comparison.

    Attributes:
        form: what kind of codec.
        bits: nominal, per coordinate.
    """

    form: Form
    bits: int

    @property
    def label(self) -> str:
        """The codec in two words."""
        return f"{self.form} {self.bits}"


def candidates(forms: tuple[Form, ...], bits: tuple[int, ...]) -> tuple[Candidate, ...]:
    """Every form at every width that it comes in.

    Raises:
        OptionError: nothing is left, or a width that no form has was asked for.
    """
    for width in bits:
        if not any(width in WIDTHS[form] for form in forms):
            raise OptionError("--bits", f"none of {', '.join(forms)} has {width} bits", "use 1 to 8")
    return tuple(Candidate(form, width) for width in bits for form in forms if width in WIDTHS[form])


def parse_forms(text: str) -> tuple[Form, ...]:
    """The forms of a list with commas between, in the order of FORMS.

    Raises:
        OptionError: one is unknown, or comes twice.
    """
    names = parse_names("--codecs", text, FORMS)
    return tuple(form for form in FORMS if form in names)
