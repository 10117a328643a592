"""A file that is replaced whole or not at all."""

import fcntl
import os
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Yield a new file in the same directory that takes the place of ``path`` when the block ends without error.

    Otherwise, whatever goes wrong, ``path`` is as it was and the new file is removed; a process that is killed leaves
    it behind under a name that begins with a dot and ends in ".tmp".

    Raises:
        OSError: it cannot be written.
    """
    path = path.resolve()  # a link stays a link
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            sync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = f"{error.strerror}: nothing was saved, and what was there before is as it was"
        raise OSError(error.errno, reason, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync(descriptor: int) -> None:
    """Wait until the file's bytes are on the disk."""
    os.fsync(descriptor)
    if sys.platform == "darwin":  # there, fsync stops at the drive's own buffer
        with suppress(OSError):  # network file systems do not have it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)


def sync_directory(path: Path) -> None:
    """Wait until the directory's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
