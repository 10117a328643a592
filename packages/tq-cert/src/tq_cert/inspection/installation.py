"""Our distributions as they are installed: from which wheels, linked to a checkout, or changed since."""

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from tq_cert.errors import FileAccessError
from tq_cert.evidence import Wheel
from tq_cert.lanes.provenance import OURS

RECORD = "RECORD"


def editable() -> tuple[str, ...]:
    """Distributions of ours that are links to a checkout."""
    return tuple(name for name in OURS if origin(name).get("dir_info", {}).get("editable"))


def wheels(folder: Path | None) -> tuple[Wheel, ...]:
    """The wheels that are installed, found in the folder or where the installer says that they came from.

    A wheel counts if every file that it brought is installed as it is in the wheel.

    Raises:
        FileAccessError: there is no such folder, or a wheel cannot be read.
    """
    if folder is not None and not folder.is_dir():
        raise FileAccessError(str(folder), NotADirectoryError("no such folder"))
    found: list[Wheel] = []
    for name in OURS:
        for path in candidates(name, folder):
            distribution = Distribution.from_name(name)
            if is_installed_from(distribution, path):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found.append(Wheel(name, distribution.version, path.name, digest))
                break
    return tuple(found)


def changed_files() -> tuple[str, ...]:
    """Installed files of ours that differ from what their installer recorded; none for a link to a checkout."""
    return tuple(
        f"{name}: {path}"
        for name in OURS
        if (distribution := installed(name)) and not origin(name).get("dir_info", {}).get("editable")
        for path, digest in recorded(distribution.read_text(RECORD) or "")
        if digest_of(Path(str(distribution.locate_file(path)))) != digest
    )


def installed(name: str) -> Distribution | None:
    try:
        return Distribution.from_name(name)
    except PackageNotFoundError:
        return None


def origin(name: str) -> dict[str, dict[str, bool]]:
    """Where an installer says that it took the distribution from; empty for a package index."""
    distribution = installed(name)
    return json.loads((distribution and distribution.read_text("direct_url.json")) or "{}")


def candidates(name: str, folder: Path | None) -> Iterator[Path]:
    """Wheels of the installed version."""
    distribution = installed(name)
    if distribution is None:
        return
    pattern = f"{name.replace('-', '_')}-{distribution.version}-*.whl"
    if folder is not None:
        yield from sorted(folder.glob(pattern))
    url = str(origin(name).get("url", ""))
    if url.startswith("file://") and url.endswith(".whl") and Path(url.removeprefix("file://")).is_file():
        yield Path(url.removeprefix("file://"))


def is_installed_from(distribution: Distribution, wheel: Path) -> bool:
    """Whether every file of the wheel is installed with the same bytes."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            (listing,) = (name for name in archive.namelist() if name.endswith(f".dist-info/{RECORD}"))
            files = list(recorded(archive.read(listing).decode()))
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise FileAccessError(str(wheel), error) from error
    return bool(files) and all(digest_of(Path(str(distribution.locate_file(path)))) == sha for path, sha in files)


def recorded(record: str) -> Iterator[tuple[str, str]]:
    """Paths and digests of a RECORD; it gives no digest for itself and for what an installer adds."""
    for line in record.splitlines():
        path, digest, _ = line.rsplit(",", 2)
        if digest.startswith("sha256="):
            yield path.strip('"'), digest.removeprefix("sha256=")


def digest_of(path: Path) -> str | None:
    """SHA-256 of a file as a RECORD writes it; None where there is none."""
    try:
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
