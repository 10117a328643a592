"""What the evidence records are made of: kinds of text and number, and what all of them share."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

# The end of the text in every dialect; `$` alone lets a final line break pass in Python.
END = r"$(?!\n)"

# A path within a bundle: it leads nowhere else, is not hidden, and is the same on every system.
PATH = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*"

LARGEST = 1e18
"""Of the numbers that a record holds, which are finite."""

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*" + END)]
Sha256: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}" + END)]
Commit: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}" + END)]
FilePath: TypeAlias = Annotated[str, Meta(pattern="^" + PATH + END)]
Time: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}\+00:00" + END)
]
EditionName: TypeAlias = Annotated[str, Meta(pattern=r"^edition-[0-9]+" + END)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Number: TypeAlias = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
SchemaVersion: TypeAlias = Literal[1]


class EvidenceRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """What all records of a bundle share: immutable, and every field is written out in the file."""
