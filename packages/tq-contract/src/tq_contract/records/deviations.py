"""Deviations: where this project does otherwise than what it was made from."""

from typing import Literal

from tq_contract.records.fields import Name, Record, Text


class Deviation(Record, frozen=True):
    """One such place: what is said there, what is done here, and why.

    `of` is the seed (the description that the project was created from) or a paper.
    """

    name: Name
    of: Literal["seed", "turboquant", "qjl", "polarquant"]
    says: Text
    does: Text
    because: Text
