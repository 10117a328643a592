"""What an inner-product measurement is asked to do."""

import msgspec

from tq_cert.errors import OptionError
from tq_cert.lanes.forms import FORMS, Form

COSINES = (0.0, 0.3, 0.6, 0.9)


class BiasSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every row of one report has in common.

    Attributes:
        codecs: forms that are compared.
        bits: widths of each.
        head_dims: dimensions of the vectors.
        vectors: unit vectors coded for every seed.
        queries: unit queries for every vector, at every cosine.
        seeds: rotations and sketches that the codecs are drawn with; intervals are over these.
        cosines: between a query and its vector, at which the bias is taken.
    """

    codecs: tuple[Form, ...] = FORMS
    bits: tuple[int, ...] = (1, 2, 3, 4)
    head_dims: tuple[int, ...] = (64, 128, 256)
    vectors: int = 2048
    queries: int = 4
    seeds: int = 16
    cosines: tuple[float, ...] = COSINES

    def check(self) -> None:
        """Raise OptionError for numbers out of range."""
        for option, value, least in (("--vectors", self.vectors, 1), ("--seeds", self.seeds, 2)):
            if value < least:
                raise OptionError(option, f"{value} is too small", f"use {least} or more")
