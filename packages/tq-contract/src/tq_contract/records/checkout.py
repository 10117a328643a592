"""The contract's records about a checkout: what its packages export and what its workflows must do."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from tq_contract.records.fields import Identifier, Record, Text

Distribution: TypeAlias = Annotated[str, Meta(pattern="^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
WorkflowFile: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*\.yml$")]


class Package(Record, frozen=True):
    """A distribution, and the names that its import package exports; everything else may change freely."""

    name: Distribution
    public: tuple[Identifier, ...]

    @property
    def module(self) -> str:
        """The import name."""
        return self.name.replace("-", "_")


class Job(Record, frozen=True):
    """A job of a workflow: where it runs, which commands it must run and which artifacts it must keep."""

    name: Text
    runner: Text
    commands: Annotated[tuple[Text, ...], Meta(min_length=1)]
    artifacts: tuple[Text, ...]


class Workflow(Record, frozen=True):
    """A file in `.github/workflows`, the events that start it and its required jobs."""

    file: WorkflowFile
    triggers: Annotated[tuple[Text, ...], Meta(min_length=1)]
    jobs: Annotated[tuple[Job, ...], Meta(min_length=1)]
