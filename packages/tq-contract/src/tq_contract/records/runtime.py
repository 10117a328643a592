"""Where the runtime is entered, what it replaces upstream, and what it runs on."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from tq_contract.records.fields import Attribute, Identifier, ModulePath, Record, Text
from tq_contract.window import CLOSED_WINDOW, OPEN_WINDOW

OpenWindow: TypeAlias = Annotated[str, Meta(pattern=OPEN_WINDOW)]
ClosedWindow: TypeAlias = Annotated[str, Meta(pattern=CLOSED_WINDOW)]


class Windows(Record, frozen=True):
    """The versions that the project works with, each `>=A` or `>=A,<B`."""

    python: OpenWindow
    mlx: ClosedWindow
    mlx_lm: ClosedWindow


class Platform(Record, frozen=True):
    """A machine kind; only a certified one can carry an Apple result."""

    system: Literal["Darwin", "Linux"]
    machine: Literal["arm64", "x86_64", "aarch64"]
    backend: Literal["metal", "cpu", "cuda"]
    role: Literal["certified", "tested"]


class EntryPoint(Record, frozen=True):
    """The canonical way in, through the support gate, and the parameters that callers rely on."""

    module: ModulePath
    name: Identifier
    parameters: Annotated[tuple[Identifier, ...], Meta(min_length=1)]
    summary: Text


class Surface(Record, frozen=True):
    """A secondary surface: another way to reach the runtime, and what it is for.

    `not-provided` names what other descriptions mention and this project does not have.
    """

    name: Text
    kind: Literal["python", "keyword", "command"]
    status: Literal["supported", "evaluation-only", "not-provided"]
    summary: Text


class Hook(Record, frozen=True):
    """An upstream function or `Class.method` that is replaced, and the parameters that the replacement relies on."""

    module: ModulePath
    name: Attribute
    parameters: Annotated[tuple[Identifier, ...], Meta(min_length=1)]


class State(Record, frozen=True):
    """The form in which a cache is persisted."""

    schema_version: Literal[4]
