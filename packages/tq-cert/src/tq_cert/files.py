"""Files that survive a killed process: written whole or not at all, or a line at a time."""

import os
from pathlib import Path

from tq_cert.errors import FileAccessError


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file by this content, through a temporary file beside it.

    Raises:
        FileAccessError: it cannot be written; the old file is intact then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise FileAccessError(str(path), error) from error
    finally:
        temporary.unlink(missing_ok=True)


def append_line(path: Path, line: bytes) -> None:
    """Add a line, its line break included, to a file of lines; it is on disk before this returns.

    Raises:
        FileAccessError: it cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FileAccessError(str(path), error) from error


def drop_broken_end(path: Path) -> None:
    """Cut off a last line that a killed process left unfinished; raises OSError."""
    if path.exists():
        with path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
