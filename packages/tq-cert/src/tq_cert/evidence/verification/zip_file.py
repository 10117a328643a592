"""The members of a zip file that nobody vouches for: looked at before they are read, and compared byte for byte."""

import io
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence

from tq_cert.evidence.archive import packed
from tq_cert.evidence.verification import faults
from tq_cert.evidence.verification.faults import Fault, RejectedError, reject
from tq_cert.evidence.verification.limits import bad_paths, too_many

# What zipfile raises on bytes that were not written by it: its own error, and whatever a wrong number leads to.
_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, struct.error, OSError)


def read_zip(content: bytes, name: str) -> dict[str, bytes]:
    """The members by path, if the file is just what `tq-cert pack` writes for them.

    Args:
        content: of the zip file.
        name: what to call it.

    Raises:
        RejectedError: it is another file, or its members are not plain files of reasonable size and name.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if problems := [*_problems(members, len(content), name)]:
                raise RejectedError(problems)
            files = {member.filename: _read(archive, member, name) for member in members}
    except _ERRORS as error:
        raise RejectedError([faults.DAMAGED_ZIP.of(name, f"is not a whole zip file: {error}")]) from error
    expected = packed(files)
    if expected != content:
        reject(
            faults.OTHER_ZIP_FORM.of(name, f"differs from the accepted form from byte {_differ(expected, content)} on")
        )
    return files


def _problems(members: Sequence[zipfile.ZipInfo], size: int, name: str) -> Iterator[Fault]:
    yield from bad_paths(member.filename for member in members)
    for path, times in Counter(member.filename for member in members).items():
        if times > 1:
            yield faults.REPEATED_MEMBER.of(ascii(path), f"is in the zip file {times} times")
    for member in members:
        if not stat.S_ISREG(member.external_attr >> 16):
            yield faults.NOT_A_PLAIN_FILE.of(ascii(member.filename), "is a link, a directory or a special file")
        if member.compress_type != zipfile.ZIP_STORED:
            yield faults.COMPRESSED_MEMBER.of(ascii(member.filename), "is compressed")
    yield from too_many(name, len(members), sum(member.file_size for member in members))
    stored = sum(member.file_size for member in members if member.compress_type == zipfile.ZIP_STORED)
    if stored > size:  # stored members are no larger than the file that they are in, unless they overlap
        yield faults.TOO_LARGE.of(name, f"has {size} bytes, but its members {stored}")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes:
    try:
        return archive.read(member)
    except _ERRORS as error:
        raise RejectedError(
            [faults.DAMAGED_MEMBER.of(member.filename, f"cannot be read from {name}: {error}")]
        ) from error


def _differ(expected: bytes, content: bytes) -> int:
    pairs = zip(expected, content, strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(content)))
