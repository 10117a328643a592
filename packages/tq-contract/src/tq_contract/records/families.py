"""Model families: which are allowed, and how deep their evidence goes."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from tq_contract.records.fields import Name, Record, Text

ModelType: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Family(Record, frozen=True):
    """A model family, whether compression is allowed for it, and how deep its evidence goes.

    `coverage` lists what certification has to show for the family; each item is covered by a stage.
    """

    name: Name
    status: Literal["allowlisted", "research-only"]
    evidence: Literal["stronger", "narrower", "none"]
    model_types: Annotated[tuple[ModelType, ...], Meta(min_length=1)]
    coverage: tuple[Text, ...]

    @property
    def allowlisted(self) -> bool:
        """Whether the runtime may compress this family's cache."""
        return self.status == "allowlisted"
