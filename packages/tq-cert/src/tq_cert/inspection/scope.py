"""Which model stands for each family: the one that the environment names, or the sample model."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

import tq_contract
from tq_cert import sample_models
from tq_cert.errors import OptionError
from tq_cert.lanes.errors import UnknownModelError
from tq_cert.progress import Progress

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
"""The name of a model on the hub: owner and model."""

FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.tiktoken", "tokenizer.model")


class ModelSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a family's model is.

    Attributes:
        family: of the contract.
        directory: that mlx-lm loads.
        sample: name of the sample model that it is; None for one of the user's.
        revision: commit of the hub that the directory is a snapshot of, or None.
    """

    family: str
    directory: str
    sample: str | None
    revision: str | None


def variable(family: str) -> str:
    """The environment variable that names the family's model."""
    return f"TQ_TEST_{family.upper()}_MODEL"


def parse_families(text: str | None) -> tuple[str, ...]:
    """The families of a list with commas between, in the contract's order; without one, all that are allowlisted.

    Raises:
        OptionError: one is not allowlisted.
    """
    allowlisted = [family.name for family in tq_contract.load().families if family.allowlisted]
    chosen = allowlisted if text is None else [part.strip() for part in text.split(",")]
    for name in chosen:
        if name not in allowlisted:
            raise OptionError("--families", f"{name!r} is not allowlisted", f"choose from {', '.join(allowlisted)}")
    return tuple(name for name in allowlisted if name in chosen)


def sources(families: Sequence[str], progress: Progress) -> tuple[ModelSource, ...]:
    """The model of each family; a sample model is built where it is not there yet.

    Raises:
        UnknownModelError: a variable names no directory.
        TqCertError: a sample model could not be built.
    """
    return tuple(source(family, os.environ.get(variable(family)), progress) for family in families)


def source(family: str, named: str | None, progress: Progress) -> ModelSource:
    """The model that is named, by directory, sample model or repository; the family's sample model if none is."""
    name = named or family
    if name in sample_models.NAMES:
        directory = sample_models.build(name, progress=progress).directory
        return ModelSource(family, str(directory), name, None)
    directory = Path(name).expanduser()
    if REPOSITORY.fullmatch(name) and not directory.exists():
        directory = snapshot(family, name)
    if not (directory / "config.json").is_file():
        problem = f"{variable(family)} names no directory with a config.json"
        raise UnknownModelError(name, problem, sample_models.NAMES)
    return ModelSource(family, str(directory.resolve()), None, revision_of(directory.absolute()))


def snapshot(family: str, repository: str) -> Path:
    """The newest snapshot of a repository of the hub, fetched where it is not here yet: mlx-lm's own way to a model.

    Raises:
        UnknownModelError: it could not be fetched.
    """
    from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType]

    try:
        return Path(snapshot_download(repository, allow_patterns=list(FILES)))
    except (OSError, ValueError) as error:
        problem = f"{variable(family)} names a repository that could not be fetched: {error}"
        raise UnknownModelError(repository, problem, sample_models.NAMES) from error


def revision_of(directory: Path) -> str | None:
    """The commit whose snapshot the directory is, by the layout in which the hub's client stores them."""
    is_snapshot = directory.parent.name == "snapshots" and re.fullmatch("[0-9a-f]{40}", directory.name)
    return directory.name if is_snapshot else None
