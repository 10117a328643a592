"""What an interrupted run has measured already: one JSON line per measurement, beside the report to come.

Every line carries the key of its measurement: a digest of all that decides the result. A line with another key
belongs to other settings and is left alone. The file goes when the report is written.
"""

import hashlib
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from tq_cert.errors import FileAccessError
from tq_cert.files import append_line, drop_broken_end

T = TypeVar("T")


class Line(msgspec.Struct, Generic[T], frozen=True):
    """One line of the file."""

    key: str
    measurement: T


def key_of(**parts: Any) -> str:
    """A digest of everything that decides a measurement."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


class Journal(Generic[T]):
    """Measurements by key, kept in a file; without a path, in memory alone."""

    def __init__(self, path: Path | None, kind: type[T]) -> None:
        """Read what is there.

        Raises:
            FileAccessError: the file cannot be read or written.
        """
        self.path = path
        self.found: dict[str, T] = {}
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                drop_broken_end(path)
                self.found = read(path, kind)
        except OSError as error:
            raise FileAccessError(str(path), error) from error

    def get(self, key: str) -> T | None:
        """The measurement of this key, if it is there."""
        return self.found.get(key)

    def add(self, key: str, measurement: T) -> None:
        """Keep one more measurement, on disk before this returns."""
        self.found[key] = measurement
        if self.path is None:
            return
        append_line(self.path, msgspec.json.encode(Line(key, measurement)) + b"\n")

    def discard(self) -> None:
        """Remove the file: the report is written."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def journal_path(report: Path | None) -> Path | None:
    """Where the journal of a report lies that will be written to this path."""
    return None if report is None else report.with_name(f"{report.name}.partial")


def read(path: Path, kind: type[T]) -> dict[str, T]:
    """Every line that can be read as this kind of measurement, by key."""
    found: dict[str, T] = {}
    decoder = msgspec.json.Decoder(Line[kind])
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            entry = decoder.decode(line)
        except msgspec.DecodeError:
            continue  # another version's line, or a damaged one: measured again
        found[entry.key] = entry.measurement
    return found
