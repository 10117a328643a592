"""What the header of our cache files says besides the tensors' places.

Every byte of a header matters: it must be the one canonical text of what it says, and what it says is sealed by a
SHA-256 of its own. So no changed byte goes unnoticed; but whoever changes a file on purpose can seal it again, and only
the checks of its meaning stand against that.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tq_mlx.errors import CacheFileError, DamagedCacheFileError, UnsupportedCacheFileError
from tq_mlx.model_fingerprint import ModelFingerprint
from tq_mlx.safetensors_header import LONGEST_HEADER, Header, Span, parse_object, write_header
from tq_mlx.state_check import SCHEMA_VERSION

FORMAT = "turboquant-mlx-cache"
CONTENT, SEAL = "content", "header_sha256"
PROMPT_CACHE_KEYS = ("1.0", "2.0")
"""Metadata by which a file of mlx-lm's save_prompt_cache is known."""


@dataclass(frozen=True)
class Manifest:
    """The content of a cache file.

    Attributes:
        layers: each layer's class and state, the arrays replaced by their names (see ``state_tree``).
        sha256: of each tensor's bytes, by name.
        model: which model made the cache; None if the file does not say.
        metadata: the user's own.
        contract_sha256: of the contract of the release that wrote the file.
    """

    layers: list[Any]
    sha256: dict[str, str]
    model: ModelFingerprint | None
    metadata: dict[str, str]
    contract_sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return every field as JSON values."""
        model = self.model and {"model_type": self.model.model_type, "sha256": self.model.sha256}
        return dict(vars(self)) | {"model": model}


def sealed_header(manifest: Manifest, tensors: Mapping[str, Span]) -> bytes:
    """Return the header of a file of this release; CacheFileError if it were longer than a header may be."""
    content = json.dumps(manifest.to_dict(), sort_keys=True, separators=(",", ":"))
    metadata = {"format": FORMAT, "schema_version": str(SCHEMA_VERSION), CONTENT: content}
    header = write_header(metadata | {SEAL: seal(metadata, tensors)}, tensors)
    if len(header) > LONGEST_HEADER:
        raise CacheFileError(f"the header takes {len(header)} bytes, of {LONGEST_HEADER} at most: use less metadata")
    return header


def seal(metadata: Mapping[str, str], tensors: Mapping[str, Span]) -> str:
    """Return the SHA-256 of the canonical header without its seal."""
    rest = {name: text for name, text in metadata.items() if name != SEAL}
    return hashlib.sha256(write_header(rest, tensors)).hexdigest()


def read_manifest(header: Header) -> Manifest:
    """Return what a header says.

    Raises:
        UnsupportedCacheFileError: the file is of another kind or schema version.
        DamagedCacheFileError: the header is not as it was written.
    """
    check_kind(header.metadata)
    if write_header(header.metadata, header.tensors) != header.text:
        raise DamagedCacheFileError("the header is not in its canonical form")
    if header.metadata.get(SEAL) != seal(header.metadata, header.tensors):
        raise DamagedCacheFileError("the header does not have the SHA-256 that it states")
    if set(header.metadata) != {"format", "schema_version", CONTENT, SEAL}:
        raise DamagedCacheFileError(f"the header's metadata has other fields than it should: {sorted(header.metadata)}")
    content = parse_object(header.metadata[CONTENT].encode(), "the content description")
    return manifest_from(content, set(header.tensors))


def check_kind(metadata: Mapping[str, str]) -> None:
    """Raise UnsupportedCacheFileError unless this is a cache file of this release's schema version."""
    if metadata.get("format") != FORMAT:
        if is_prompt_cache(metadata):
            raise UnsupportedCacheFileError(
                "this is a prompt cache of mlx-lm's own: load it with mlx_lm.models.cache.load_prompt_cache"
            )
        raise UnsupportedCacheFileError("this is no cache file: its header does not name the format " + FORMAT)
    version = metadata.get("schema_version", "")
    if version != str(SCHEMA_VERSION):
        newer = version.isdecimal() and int(version[:9]) > SCHEMA_VERSION
        remedy = "upgrade tq-mlx" if newer else "prefill the prompt anew and save it again"
        raise UnsupportedCacheFileError(
            f"the file has schema version {version[:20]!r}, and this release reads {SCHEMA_VERSION}: {remedy}"
        )


def is_prompt_cache(metadata: Mapping[str, str]) -> bool:
    """Return whether the header is one that mlx-lm's save_prompt_cache writes."""
    return all(key in metadata for key in PROMPT_CACHE_KEYS)


def manifest_from(content: Mapping[str, Any], tensors: set[str]) -> Manifest:
    expected = {"layers": list, "sha256": dict, "metadata": dict, "contract_sha256": str}
    if set(content) != {*expected, "model"} or not all(type(content[n]) is kind for n, kind in expected.items()):
        raise DamagedCacheFileError("the content description has not the fields that it should")
    if set(content["sha256"]) != tensors:
        raise DamagedCacheFileError("the content description does not name exactly the file's tensors")
    if not all(type(text) is str for text in content["metadata"].values()):
        raise DamagedCacheFileError("the user's metadata has values that are no text")
    return Manifest(**{name: content[name] for name in expected}, model=fingerprint_from(content["model"]))


def fingerprint_from(model: object) -> ModelFingerprint | None:
    if model is None:
        return None
    fields = cast("dict[str, object]", model) if isinstance(model, dict) else {}
    name, sha256 = fields.get("model_type"), fields.get("sha256")
    if len(fields) != 2 or not isinstance(name, str) or not isinstance(sha256, str):
        raise DamagedCacheFileError("the model's fingerprint has not the fields that it should")
    return ModelFingerprint(name, sha256)
