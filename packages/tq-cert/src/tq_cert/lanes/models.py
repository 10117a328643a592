"""The model that a lane measures: a sample model by name, or any directory that mlx-lm loads."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
from mlx_lm.models.cache import make_prompt_cache

import tq_contract
from tq_cert import sample_models
from tq_cert.lanes.envelope import ModelInfo
from tq_cert.lanes.errors import UnknownModelError
from tq_cert.progress import Progress
from tq_cert.sample_models.recipes import recipe_for


@dataclass(frozen=True)
class Located:
    """A model's files.

    Attributes:
        directory: that mlx-lm loads.
        title: of a sample model; of a snapshot of the hub, its repository's; else the directory's name.
        weights_sha256: of the weights.
        config_sha256: of config.json.
    """

    directory: Path
    title: str
    weights_sha256: str
    config_sha256: str


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to run."""

    model: Any
    tokenizer: Any
    info: ModelInfo


def load_model(name: str, progress: Progress) -> LoadedModel:
    """Load the sample model of this name (building it first where needed) or the model in this directory.

    Raises:
        UnknownModelError: it is neither, or mlx-lm cannot load it.
        TqCertError: a sample model could not be built.
    """
    located = locate(name, progress)
    try:
        model, tokenizer = mlx_lm.load(str(located.directory))[:2]
    except (OSError, ValueError, KeyError) as error:
        raise UnknownModelError(name, f"mlx-lm cannot load it: {error}", sample_models.NAMES) from error
    info = describe(model, located.title, located.weights_sha256, located.config_sha256)
    return LoadedModel(model, tokenizer, info)


def locate(name: str, progress: Progress) -> Located:
    """Find what `load_model` loads, and its digests.

    Raises:
        UnknownModelError: the name is neither a sample model's nor a directory's with a model in it.
        TqCertError: a sample model could not be built.
    """
    if name in sample_models.NAMES:
        directory, title = sample_models.build(name, progress=progress).directory, recipe_for(name).title
    else:
        directory = Path(name).expanduser().resolve()
        title = title_of(directory)
    weights = sorted(directory.glob("*.safetensors"))
    config = directory / "config.json"
    if not weights or not config.is_file():
        problem = "no sample model has that name, and it is no directory with config.json and *.safetensors"
        raise UnknownModelError(name, problem, sample_models.NAMES)
    return Located(directory, title, digest_of(weights), digest_of([config]))


def title_of(directory: Path) -> str:
    """The repository's name where the hub's client stores it (models--OWNER--MODEL/snapshots/COMMIT), else its own."""
    parts = directory.parts
    if len(parts) > 3 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        return parts[-3].removeprefix("models--").replace("--", "/")
    return directory.name


def describe(model: Any, name: str, weights_sha256: str, config_sha256: str) -> ModelInfo:
    """What a report says of a model; runs it on one token to see its keys and values."""
    cache: list[Any] = make_prompt_cache(model)
    mx.eval(model(mx.array([[0]]), cache=cache))
    arrays: list[mx.array] = [
        array
        for layer in cache
        for array in (getattr(layer, "keys", None), getattr(layer, "values", None))
        if array is not None
    ]
    model_type = str(getattr(model, "model_type", "unknown"))
    family = tq_contract.load().family_of(model_type)
    return ModelInfo(
        name=name,
        family=None if family is None else family.name,
        model_type=model_type,
        weights_sha256=weights_sha256,
        config_sha256=config_sha256,
        dtype=str(arrays[0].dtype).removeprefix("mlx.core.") if arrays else "unknown",
        layers=len(cache),
        head_dims=tuple(sorted({array.shape[-1] for array in arrays})),
    )


def digest_of(files: list[Path]) -> str:
    """SHA-256 of one file; of several, that of their digests and names."""
    digests: list[str] = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(digests) == 1:
        return digests[0]
    listing = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, files, strict=True))
    return hashlib.sha256(listing.encode()).hexdigest()
