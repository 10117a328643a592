"""Certification: the stages, what each measures, and the bounds that it has to keep."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from tq_contract.records.fields import FilePath, Name, Record, Text

Bound: TypeAlias = Literal["at_most", "below", "at_least", "above"]


class Metric(Record, frozen=True):
    """A number that stages measure."""

    name: Name
    unit: Text
    summary: Text


class Threshold(Record, frozen=True):
    """A bound on one metric.

    `families` are those of the stage that it holds for, and `preset` the one of the stage's presets,
    or null for all of them. `source` says whether the value is a target that the project set itself,
    follows from theory, or was set from a measured distribution; `basis` says which.
    """

    metric: Name
    families: tuple[Name, ...]
    preset: Name | None
    bound: Bound
    value: Annotated[float, Meta(ge=-1e12, le=1e12)]
    source: Literal["target", "theory", "measured"]
    basis: Text


class Stage(Record, frozen=True):
    """One step of certification: what it shows, for whom, and what it leaves behind.

    `families` are those whose models it runs; a stage without any needs no model. `covers` are the
    items of those families' coverage that it is the evidence for.
    """

    name: Name
    summary: Text
    families: tuple[Name, ...]
    presets: tuple[Name, ...]
    covers: tuple[Text, ...]
    thresholds: Annotated[tuple[Threshold, ...], Meta(min_length=1)]
    artifacts: Annotated[tuple[FilePath, ...], Meta(min_length=1)]


class Certification(Record, frozen=True):
    """What certification runs, in this order, and what its bundle holds beside the stages' artifacts."""

    metrics: Annotated[tuple[Metric, ...], Meta(min_length=1)]
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)]
    bundle: Annotated[tuple[FilePath, ...], Meta(min_length=1)]
