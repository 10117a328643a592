"""What a vector-search measurement is asked to do."""

import msgspec

from tq_cert.errors import OptionError
from tq_cert.lanes.forms import Form

NEAREST = 10
"""Neighbours that recall is taken over."""


class SearchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every row of one report has in common.

    Attributes:
        codecs: forms that are compared.
        bits: widths of each.
        vectors: in the index; of a model's embedding, at most as many as it has.
        queries: that are searched for; none of them is in the index.
        dim: of generated vectors; a model's embedding has its own.
        clusters: of generated vectors.
        repeats: timings of everything, in turns.
        seed: of what is generated or drawn, and of the codecs.
    """

    codecs: tuple[Form, ...] = ("prod", "mse", "mse_search", "uniform", "polar")
    bits: tuple[int, ...] = (2, 4)
    vectors: int = 20_000
    queries: int = 500
    dim: int = 256
    clusters: int = 200
    repeats: int = 5
    seed: int = 0

    def check(self) -> None:
        """Raise OptionError for numbers out of range."""
        for option, value, least in (
            ("--vectors", self.vectors, NEAREST),
            ("--queries", self.queries, 2),
            ("--dim", self.dim, 2),
            ("--clusters", self.clusters, 1),
            ("--repeats", self.repeats, 3),
            ("--seed", self.seed, 0),
        ):
            if value < least:
                raise OptionError(option, f"{value} is too small", f"use {least} or more")
