"""Admission: under which family of the contract a cache is compressed, and whether its user had to opt in."""

from dataclasses import dataclass

OPTED_IN = "research-only family, opted in"


@dataclass(frozen=True)
class Admission:
    """The gate's answer; a compressed cache carries it, through files too.

    Attributes:
        family: name of a family of the contract.
        research: the contract has no evidence for that family: it was admitted by an explicit opt-in.
    """

    family: str
    research: bool
