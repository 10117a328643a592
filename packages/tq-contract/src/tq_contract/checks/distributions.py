"""Whether built wheels and source distributions hold what they should and nothing else, read without installing."""

import base64
import re
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from tq_contract.checks.checkout import Checkout, Source
from tq_contract.checks.finding import Finding
from tq_contract.checks.versions import requirements
from tq_contract.records.checkout import Package

REBUILD = "Build again from this checkout: make distributions."


def distributions(checkout: Checkout) -> Iterator[Finding]:
    """Each package of the contract has one wheel and one source distribution of the release, made from this source."""
    if checkout.dist is None:
        return
    sources = {source.name: source for source in checkout.sources}
    here = {path.name: path for path in sorted(checkout.dist.iterdir()) if path.name.endswith((".whl", ".tar.gz"))}
    for package in checkout.contract.packages:
        stem = f"{package.module}-{checkout.contract.release}"
        for name, check in ((f"{stem}-py3-none-any.whl", _wheel), (f"{stem}.tar.gz", _sdist)):
            path = here.pop(name, None)
            if path is None:
                yield Finding(name, 0, f"{package.name} has no such file in {checkout.dist}", REBUILD)
            elif package.name in sources:
                yield from _opened(check, path, checkout, sources[package.name], package)
    for name in here:
        yield Finding(name, 0, "belongs to no package of this release", "Remove it.")


def _opened(check: Any, path: Path, checkout: Checkout, source: Source, package: Package) -> Iterator[Finding]:
    try:
        found: list[tuple[str, str]] = [*check(path, checkout, source, package)]
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, KeyError, ValueError) as error:
        found = [(f"cannot be read: {error}", REBUILD)]
    yield from (Finding(path.name, 0, *one) for one in found)


def _wheel(path: Path, checkout: Checkout, source: Source, package: Package) -> Iterator[tuple[str, str]]:
    info = f"{package.module}-{checkout.contract.release}.dist-info"
    with zipfile.ZipFile(path) as wheel:
        held = {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    wanted = dict(_files(checkout.root / "packages" / source.name / "src"))
    own = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    own |= {f"{info}/entry_points.txt"} if source.metadata.get("scripts") else set()
    yield from _contents(held, wanted, own)
    if f"{package.module}/py.typed" not in held:
        yield f"lacks {package.module}/py.typed", "Restore it in the source and build again."
    yield from _metadata(held[f"{info}/METADATA"], checkout, source)
    yield from _record(held, f"{info}/RECORD")


def _sdist(path: Path, checkout: Checkout, source: Source, package: Package) -> Iterator[tuple[str, str]]:
    top = f"{package.module}-{checkout.contract.release}/"
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
        if odd := [member.name for member in members if not member.isfile() or not member.name.startswith(top)]:
            yield f"holds {odd[0]}, which is no plain file of {top}", REBUILD
            return
        opened = [(member.name.removeprefix(top), archive.extractfile(member)) for member in members]
        held = {name: file.read() for name, file in opened if file is not None}
    folder = checkout.root / "packages" / source.name
    wanted = {f"src/{name}": data for name, data in _files(folder / "src")}
    wanted |= {name: (folder / name).read_bytes() for name in ("LICENSE", "README.md", "pyproject.toml")}
    yield from _contents(held, wanted, {"PKG-INFO", ".gitignore"})
    yield from _metadata(held["PKG-INFO"], checkout, source)


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _contents(held: dict[str, bytes], wanted: dict[str, bytes], own: set[str]) -> Iterator[tuple[str, str]]:
    """Compare what an archive holds with the source; `own` are the files that building adds."""
    for name in sorted(held.keys() - wanted.keys() - own):
        yield f"holds {name}, which is not in the source", "Exclude it, and build again."
    for name in sorted(wanted.keys() - held.keys()):
        yield f"lacks {name}", REBUILD
    for name in sorted(held.keys() & wanted.keys()):
        if held[name] != wanted[name]:
            yield f"{name} is not as in the source", REBUILD


def _metadata(data: bytes, checkout: Checkout, source: Source) -> Iterator[tuple[str, str]]:
    stated: Message = Parser().parsestr(data.decode())
    for field, wanted in (
        ("Name", source.name),
        ("Version", checkout.contract.release),
        ("Requires-Python", checkout.contract.windows.python),
    ):
        if stated[field] != wanted:
            yield f"its {field} is {stated[field]!r}, not {wanted!r}", REBUILD
    declared = {_required(one): one for one in requirements(source.metadata)}
    stated_there = {_required(one): one for one in stated.get_all("Requires-Dist", [])}
    for key in stated_there.keys() - declared.keys():
        yield f"requires {stated_there[key]!r}, which the project does not declare", REBUILD
    for key in declared.keys() - stated_there.keys():
        yield f"does not require {declared[key]!r}, which the project declares", REBUILD


def _required(requirement: str) -> tuple[str, frozenset[str]]:
    """Return what a requirement names and its bounds, in whatever order they are written; markers are not compared."""
    plain = requirement.partition(";")[0].replace(" ", "")
    name = re.split("[<>=!~]", plain, maxsplit=1)[0]
    return name, frozenset(plain.removeprefix(name).split(","))


def _record(held: dict[str, bytes], record: str) -> Iterator[tuple[str, str]]:
    """Yield the files whose digest is not the one that the wheel's own RECORD states."""
    stated: dict[str, str] = {}
    for line in held[record].decode().splitlines():
        name, digest, _ = line.rsplit(",", 2)
        stated[name] = digest
    for name in sorted(held.keys() - {record}):
        digest = base64.urlsafe_b64encode(sha256(held[name]).digest()).decode().rstrip("=")
        if stated.get(name) != f"sha256={digest}":
            yield f"{PurePosixPath(name)} is not the file that RECORD states", REBUILD
