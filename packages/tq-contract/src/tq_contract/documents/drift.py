"""A checkout's documents beside what the contract says they should be: compare, and write."""

import os
import tempfile
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

from msgspec import Struct

from tq_contract.digest import digest
from tq_contract.documents.catalogue import DOCUMENTS, FOLDER, PARTS
from tq_contract.documents.parts import MarkerError, put_part
from tq_contract.load import packaged_bytes
from tq_contract.records import Contract
from tq_contract.source_tree import CONTRACT


class NotACheckoutError(Exception):
    """A folder holds no checkout of this project."""


class Drift(Struct, frozen=True):
    """A document that is not as the contract says.

    Attributes:
        path: in the checkout.
        diff: unified, from the file as it is to the file as it should be; or what keeps it from being compared.
        mendable: whether `docs --write` puts it right.
    """

    path: str
    diff: str
    mendable: bool


def check_root(root: Path) -> None:
    """Raise NotACheckoutError unless the folder holds the project's source."""
    missing = [name for name in ("README.md", CONTRACT) if not (root / name).is_file()]
    if missing:
        raise NotACheckoutError(f"{root} has no {missing[0]}: name the folder of a checkout")


def drifts(contract: Contract, root: Path) -> list[Drift]:
    """Return every difference between the checkout and the packaged contract.

    Raises:
        OSError: a document cannot be read.
    """
    found = list(_other_contract(root))
    for path, expected in _expected(contract, root):
        if isinstance(expected, MarkerError):
            found.append(Drift(path, str(expected), mendable=False))
        elif (actual := _read(root / path)) != expected:
            found.append(Drift(path, _diff(path, actual, expected), mendable=True))
    for path in _strangers(root):
        message = f"not one of the generated documents: remove it, or move it out of {FOLDER}"
        found.append(Drift(path, message, mendable=False))
    return found


def write(contract: Contract, root: Path) -> list[str]:
    """Write the documents that differ and return their paths; each file is replaced whole or not at all.

    Raises:
        OSError: a document cannot be read or written.
        MarkerError: a written document lacks the markers of a generated part; nothing has been written then.
    """
    expected = list(_expected(contract, root))
    for path, text in expected:
        if isinstance(text, MarkerError):
            raise MarkerError(f"{path}: {text}")
    changed = [(path, text) for path, text in expected if isinstance(text, str) and _read(root / path) != text]
    for path, text in changed:
        _replace(root / path, text)
    return [path for path, _ in changed]


def _expected(contract: Contract, root: Path) -> Iterator[tuple[str, str | MarkerError]]:
    for path, render in DOCUMENTS.items():
        yield path, render(contract)
    for path, parts in PARTS.items():
        text = _read(root / path)
        try:
            for name, render in parts.items():
                text = put_part(text, name, render(contract))
        except MarkerError as error:
            yield path, error
        else:
            yield path, text


def _other_contract(root: Path) -> Iterator[Drift]:
    """Yield a drift where the checkout's contract is another than this package's."""
    if (root / CONTRACT).read_bytes() != packaged_bytes():
        message = (
            f"not the contract that this tq-contract carries (SHA-256 {digest()}): run the checkout's own tq-contract"
        )
        yield Drift(CONTRACT, message, mendable=False)


def _strangers(root: Path) -> list[str]:
    return sorted(
        path
        for file in (root / FOLDER).glob("**/*")
        if file.is_file() and (path := file.relative_to(root).as_posix()) not in DOCUMENTS
    )


def _read(file: Path) -> str:
    """Return a file's text with its line ends as they are, or nothing where there is no file."""
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _diff(path: str, actual: str, expected: str) -> str:
    before, after = (text.splitlines(keepends=True) for text in (actual, expected))
    lines = unified_diff(before, after, f"{path} (as it is)", f"{path} (as the contract says)")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with open(handle, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
        os.chmod(temporary, file.stat().st_mode & 0o777 if file.exists() else 0o644)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
