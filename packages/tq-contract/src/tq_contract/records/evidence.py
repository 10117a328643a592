"""Evidence: what proves a claim, which benchmarks there are, and what a published figure says about itself."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from tq_contract.records.fields import FilePath, Name, Record, Text

FieldPath: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$")]


class EvidenceRule(Record, frozen=True):
    """What it takes to say that the runtime passed on Apple hardware.

    `workflow` makes the evidence, `proofs` are what counts, and `not_shipped` are folders that no
    wheel or source distribution holds.
    """

    rule: Text
    workflow: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")]
    proofs: Annotated[tuple[Text, ...], Meta(min_length=1)]
    not_shipped: tuple[FilePath, ...]


class Benchmark(Record, frozen=True):
    """A measurement lane; `stage` is the certification stage that gates on it, null where it is research only."""

    name: Name
    command: Text
    status: Literal["available", "planned"]
    stage: Name | None
    summary: Text


class Publication(Record, frozen=True):
    """What every published figure carries, as fields of a report, and the rules for publishing it."""

    fields: Annotated[tuple[FieldPath, ...], Meta(min_length=1)]
    rules: Annotated[tuple[Text, ...], Meta(min_length=1)]
