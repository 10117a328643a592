"""sample_model.json: what a finished sample model consists of, and whether its directory still does."""

import hashlib
from pathlib import Path

import msgspec

from tq_cert.progress import Progress
from tq_cert.sample_models.record import SampleModel, SourcePackage

MANIFEST = "sample_model.json"


class FileEntry(msgspec.Struct, frozen=True):
    """One file of the directory."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of sample_model.json."""

    name: str
    title: str
    licence: str
    dtype: str
    recipe_digest: str
    gguf_sha256: str
    source_packages: tuple[SourcePackage, ...]
    files: tuple[FileEntry, ...]

    def sample_model(self, directory: Path, *, reused: bool) -> SampleModel:
        """The record of the model that this manifest describes."""
        weights = next(entry for entry in self.files if entry.name == "model.safetensors")
        return SampleModel(
            name=self.name,
            directory=directory,
            dtype=self.dtype,
            reused=reused,
            size=sum(entry.size for entry in self.files),
            weights_sha256=weights.sha256,
            gguf_sha256=self.gguf_sha256,
            source_packages=self.source_packages,
        )


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of a directory; None where there is none or where it cannot be read."""
    try:
        return msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write sample_model.json."""
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (directory / MANIFEST).write_bytes(encoded + b"\n")


def size_findings(directory: Path, manifest: Manifest) -> list[str]:
    """Files that are missing or have another size than the manifest says."""
    found: list[str] = []
    for entry in manifest.files:
        path = directory / entry.name
        if not path.is_file():
            found.append(f"{entry.name} is missing")
        elif (size := path.stat().st_size) != entry.size:
            found.append(f"{entry.name} has {size} bytes, not {entry.size}")
    return found


def digest_findings(directory: Path, manifest: Manifest, progress: Progress) -> list[str]:
    """Files that have another SHA-256 than the manifest says; all of them must be there."""
    found: list[str] = []
    done = 0
    progress.phase("verify", sum(entry.size for entry in manifest.files))
    for entry in manifest.files:
        if (actual := sha256_of(directory / entry.name)) != entry.sha256:
            found.append(f"{entry.name} has SHA-256 {actual}, not {entry.sha256}")
        done += entry.size
        progress.reach(done)
    return found


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
