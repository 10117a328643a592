"""What is inside a cache file, ours or mlx-lm's, and whether it holds together."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import tq_contract
from tq_core import TurboQuantError
from tq_mlx.cache_file import read_arrays
from tq_mlx.cache_manifest import is_prompt_cache, read_manifest
from tq_mlx.errors import DamagedCacheFileError
from tq_mlx.layer_facts import GOOD, LayerFacts, facts_of
from tq_mlx.prompt_cache_file import read_prompt_cache
from tq_mlx.safetensors_file import SafetensorsFile, open_safetensors
from tq_mlx.state_check import SCHEMA_VERSION
from tq_mlx.state_tree import put_arrays
from tq_mlx.stored_layers import CLASSES, StoredLayer, restore

Kind = Literal["turboquant cache", "mlx-lm prompt cache", "unreadable"]


@dataclass(frozen=True)
class Inspection:
    """A file's content and the verdict on it.

    Attributes:
        path: the file.
        kind: whose file it is; "unreadable" where the header does not hold together.
        nbytes: bytes of the file.
        header_bytes: bytes of its header.
        tensors: number of its tensors.
        schema_version: of our files; None in mlx-lm's, whose compressed layers carry their own.
        model: type and fingerprint of the model that made the cache, where the file says so.
        same_contract: whether the release that wrote the file had the contract that is installed.
        metadata: the user's own.
        layers: what each layer holds.
        findings: what is wrong; empty if the file is good.
    """

    path: str
    kind: Kind
    nbytes: int
    header_bytes: int = 0
    tensors: int = 0
    schema_version: int | None = None
    model: dict[str, str] | None = None
    same_contract: bool | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    layers: tuple[LayerFacts, ...] = ()
    findings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return every field, and the verdict, as JSON values."""
        return {"verdict": "damaged" if self.findings else GOOD} | asdict(self)


def inspect_file(path: Path) -> Inspection:
    """Return what is inside a file; damage is a finding.

    Raises:
        OSError: the file cannot be read.
        UnsupportedCacheFileError: it is no cache file, or one of another schema version.
    """
    try:
        with open_safetensors(path) as file:
            ours = not is_prompt_cache(file.header.metadata)
            return inspect_ours(path, file) if ours else inspect_prompt_cache(path, file)
    except DamagedCacheFileError as error:
        return Inspection(str(path), "unreadable", path.stat().st_size, findings=(str(error),))


def inspect_ours(path: Path, file: SafetensorsFile) -> Inspection:
    manifest = read_manifest(file.header)
    arrays, damaged = read_arrays(file, manifest)
    findings = [f"tensor {name!r} does not have the SHA-256 that the header states" for name in damaged]
    layers = list[LayerFacts]()
    for index, tree in enumerate(manifest.layers):
        try:
            layers.append(judged(index, put_arrays(tree, arrays)))
        except DamagedCacheFileError as error:
            layers.append(LayerFacts(index, "unknown", verdict=str(error)))
    if arrays and not damaged:
        findings.append(f"tensors {sorted(arrays)[:5]} belong to no layer")
    return Inspection(
        str(path),
        "turboquant cache",
        file.size,
        header_bytes=len(file.header.text),
        tensors=len(file.header.tensors),
        schema_version=SCHEMA_VERSION,
        model=manifest.to_dict()["model"],
        same_contract=manifest.contract_sha256 == tq_contract.digest(),
        metadata=manifest.metadata,
        layers=tuple(layers),
        findings=(*findings, *findings_of(layers)),
    )


def inspect_prompt_cache(path: Path, file: SafetensorsFile) -> Inspection:
    layers = [judged(index, layer) for index, layer in enumerate(read_prompt_cache(file))]
    metadata = file.header.metadata
    return Inspection(
        str(path),
        "mlx-lm prompt cache",
        file.size,
        header_bytes=len(file.header.text),
        tensors=len(file.header.tensors),
        metadata={name.removeprefix("0."): text for name, text in metadata.items() if name.startswith("0.")},
        layers=tuple(layers),
        findings=tuple(findings_of(layers)),
    )


def judged(index: int, layer: object) -> LayerFacts:
    """Return what a layer holds, or why no cache can be made of it."""
    if not isinstance(layer, StoredLayer):
        return LayerFacts(index, "unknown", verdict="the layer has not the fields that it should")
    if layer.class_name not in CLASSES:
        return LayerFacts(index, layer.class_name, verdict=f"not checked: {layer.class_name} is not known here")
    try:
        return facts_of(index, restore(layer))
    except TurboQuantError as error:
        return LayerFacts(index, layer.class_name, verdict=str(error))


def findings_of(layers: Iterable[LayerFacts]) -> list[str]:
    return [f"layer {layer.index}: {layer.verdict}" for layer in layers if layer.verdict != GOOD]
