"""A bundle's files by path, read from its directory or its zip file without trusting either."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tq_cert.evidence.verification import faults
from tq_cert.evidence.verification.faults import RejectedError, reject
from tq_cert.evidence.verification.limits import MOST_BYTES, bad_paths, too_many
from tq_cert.evidence.verification.zip_file import read_zip


def read_contents(bundle: Path) -> dict[str, bytes]:
    """All files by their path in the bundle.

    Raises:
        RejectedError: it cannot be read, or holds anything but plain files of reasonable size and name.
    """
    try:
        if bundle.is_dir():
            return _read_directory(bundle)
        if not bundle.is_file():
            reject(faults.UNREADABLE.of(bundle.name, "is neither a directory nor a file"))
        if (size := bundle.stat().st_size) > MOST_BYTES:
            reject(faults.TOO_LARGE.of(bundle.name, f"has {size} bytes; {MOST_BYTES} are the most"))
        return read_zip(bundle.read_bytes(), bundle.name)
    except OSError as error:
        raise RejectedError([faults.UNREADABLE.of(bundle.name, str(error))]) from error


def _read_directory(directory: Path) -> dict[str, bytes]:
    found = {path.relative_to(directory).as_posix(): path for path in _leaves(directory)}
    links = [path for path, file in found.items() if not stat.S_ISREG(file.lstat().st_mode)]
    sizes = sum(file.lstat().st_size for file in found.values())
    if problems := [
        *bad_paths(found),
        *(faults.NOT_A_PLAIN_FILE.of(path, "is a link or a special file") for path in links),
        *too_many(directory.name, len(found), sizes),
    ]:
        raise RejectedError(problems)
    return {path: file.read_bytes() for path, file in sorted(found.items())}


def _leaves(directory: Path) -> Iterator[Path]:
    """Everything below that is no directory, and links to directories."""

    def complain(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(directory, onerror=complain):
        here = Path(folder)
        yield from (here / name for name in files)
        yield from (here / name for name in folders if (here / name).is_symlink())
