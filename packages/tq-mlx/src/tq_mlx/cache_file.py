"""Prompt caches in files: save_cache and load_cache.

A file is written whole or not at all. Before a cache is made of one, its header is checked strictly, then the SHA-256
of every tensor, then that the parts of every layer fit together. Loading runs nothing that the file names.
"""

import hashlib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import mlx.core as mx

import tq_contract
from tq_core import TurboQuantError
from tq_mlx.atomic_file import replacing
from tq_mlx.cache_manifest import Manifest, read_manifest, sealed_header
from tq_mlx.errors import CacheFileError, DamagedCacheFileError, WrongModelError
from tq_mlx.model_fingerprint import ModelFingerprint, fingerprint_of
from tq_mlx.safetensors_file import SafetensorsFile, array_of, bytes_of, open_safetensors, spans_of, write_safetensors
from tq_mlx.state_tree import put_arrays, take_arrays
from tq_mlx.stored_layers import StoredLayer, restore, take_apart


def save_cache(
    path: str | PathLike[str],
    cache: Sequence[Any],
    *,
    model: Any = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a model's prompt cache, compressed layers and dense ones, to a safetensors file.

    Args:
        path: the file; what it held before stays whole until the new one is on the disk.
        cache: one cache per layer, as ``make_prompt_cache`` and ``upgrade_cache_list`` leave them.
        model: the model that filled the cache; its fingerprint then guards the file against any other model.
        metadata: names and texts of your own, for ``cache_metadata``.

    Raises:
        UnsupportedCacheError: a layer's cache is batched, or of a class that a file cannot hold.
        CacheStateError, NonFiniteError: a layer's parts do not fit together, or hold NaN or Inf.
        CacheFileError: the metadata is no text.
        OSError: the file cannot be written.
    """
    described = checked_metadata(metadata or {})
    arrays: dict[str, mx.array] = {}
    layers = take_arrays(take_apart(cache), "cache", arrays)
    spans = spans_of(arrays)
    ordered = {name: arrays[name] for name in spans}
    manifest = Manifest(
        layers=layers,
        sha256={name: hashlib.sha256(bytes_of(array)).hexdigest() for name, array in ordered.items()},
        model=None if model is None else fingerprint_of(model),
        metadata=described,
        contract_sha256=tq_contract.digest(),
    )
    header = sealed_header(manifest, spans)
    with replacing(Path(path)) as file:
        write_safetensors(file, header, ordered.values())


def load_cache(path: str | PathLike[str], *, model: Any = None) -> list[Any]:
    """Return the prompt cache that ``save_cache`` wrote.

    Args:
        path: the file.
        model: the model that is to go on with the cache; without it, nobody checks that it is the right one.

    Raises:
        DamagedCacheFileError: the file is not as it was written.
        UnsupportedCacheFileError: it is of another kind or schema version.
        WrongModelError: it belongs to another model, or does not say to which.
        OSError: it cannot be read.
    """
    with open_safetensors(Path(path)) as file:
        manifest = read_manifest(file.header)
        if model is not None:
            check_model(manifest.model, fingerprint_of(model))
        return read_layers(file, manifest)


def cache_metadata(path: str | PathLike[str]) -> dict[str, str]:
    """Return the metadata that the file was saved with; reads and checks its header alone.

    Raises what ``load_cache`` raises of a damaged, unsupported or unreadable file.
    """
    with open_safetensors(Path(path)) as file:
        return read_manifest(file.header).metadata


def checked_metadata(metadata: Mapping[Any, Any]) -> dict[str, str]:
    """Return the user's metadata; CacheFileError names what is no text."""
    for text in (part for item in metadata.items() for part in item):
        if not isinstance(text, str) or any("\ud800" <= character <= "\udfff" for character in text):
            raise CacheFileError(f"metadata has {text!r}, which is no Unicode text: convert it with str()")
    return dict(metadata)


def check_model(saved: ModelFingerprint | None, given: ModelFingerprint) -> None:
    """Raise WrongModelError unless both are the same model."""
    if saved is None:
        raise WrongModelError("the file does not say which model made it: save it with one, or load it without")
    if saved.sha256 != given.sha256:
        raise WrongModelError(f"the cache was made by {saved}, and not by {given}: load it for the model that made it")


def read_layers(file: SafetensorsFile, manifest: Manifest) -> list[Any]:
    """Return the caches of an open file whose header was checked."""
    arrays, damaged = read_arrays(file, manifest)
    if damaged:
        raise DamagedCacheFileError(f"tensors {damaged[:5]} do not have the SHA-256 that the header states")
    layers = cast("list[Any]", put_arrays(manifest.layers, arrays))
    if arrays:
        raise DamagedCacheFileError(f"tensors {sorted(arrays)[:5]} belong to no layer")
    return [restore_layer(index, layer) for index, layer in enumerate(layers)]


def read_arrays(file: SafetensorsFile, manifest: Manifest) -> tuple[dict[str, mx.array], list[str]]:
    """Return the tensors that have the SHA-256 that the header states, and the names of the others."""
    arrays: dict[str, mx.array] = {}
    damaged: list[str] = []
    for name, expected in manifest.sha256.items():
        content = file.read(name)
        if hashlib.sha256(content).hexdigest() == expected:
            arrays[name] = array_of(file.header.tensors[name], content)
        else:
            damaged.append(name)
    return arrays, damaged


def restore_layer(index: int, layer: object) -> Any:
    if not isinstance(layer, StoredLayer):
        raise DamagedCacheFileError(f"layer {index} has not the fields that it should")
    try:
        return restore(layer)
    except TurboQuantError as error:
        raise DamagedCacheFileError(f"layer {index}: {error}") from error
