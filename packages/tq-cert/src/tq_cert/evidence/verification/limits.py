"""How large a bundle may be, and what its files may be called."""

import re
from collections.abc import Iterable, Iterator

from tq_cert.evidence.fields import PATH
from tq_cert.evidence.verification import faults
from tq_cert.evidence.verification.faults import Fault

MOST_BYTES = 256 * 2**20
MOST_FILES = 1000


def bad_paths(paths: Iterable[str]) -> Iterator[Fault]:
    """A fault for every path that leads elsewhere, is hidden, or has characters that no bundle needs."""
    for path in paths:
        if re.fullmatch(PATH, path) is None:
            yield faults.BAD_PATH.of(ascii(path), "is no path within a bundle")


def too_many(name: str, files: int, size: int) -> Iterator[Fault]:
    """A fault if these are more files or bytes than a bundle has."""
    if files > MOST_FILES or size > MOST_BYTES:
        yield faults.TOO_LARGE.of(name, f"has {files} files of {size} bytes; {MOST_FILES} of {MOST_BYTES} are the most")
