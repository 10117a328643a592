"""What the records are made of: kinds of text and number, and what all records share."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

NAME = "^[a-z][a-z0-9_]*$"

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Name: TypeAlias = Annotated[str, Meta(pattern=NAME)]
Identifier: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Attribute: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")]
ModulePath: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
FilePath: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$")]
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """What all records share: immutable, and every field is written out in the file."""
