"""The contract's records about a checkout: what its packages export and what its workflows must do."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

_Text: TypeAlias = Annotated[str, Meta(min_length=1)]
_Identifier: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
_Distribution: TypeAlias = Annotated[str, Meta(pattern="^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
_WorkflowFile: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*\.yml$")]


class Package(Struct, frozen=True, forbid_unknown_fields=True):
    """A distribution, and the names that its import package exports; everything else may change freely."""

    name: _Distribution
    public: tuple[_Identifier, ...]

    @property
    def module(self) -> str:
        """The import name."""
        return self.name.replace("-", "_")


class Job(Struct, frozen=True, forbid_unknown_fields=True):
    """A job of a workflow: where it runs, which commands it must run and which artifacts it must keep."""

    name: _Text
    runner: _Text
    commands: Annotated[tuple[_Text, ...], Meta(min_length=1)]
    artifacts: tuple[_Text, ...]


class Workflow(Struct, frozen=True, forbid_unknown_fields=True):
    """A file in `.github/workflows`, the events that start it and its required jobs."""

    file: _WorkflowFile
    triggers: Annotated[tuple[_Text, ...], Meta(min_length=1)]
    jobs: Annotated[tuple[Job, ...], Meta(min_length=1)]
