"""A bundle as one zip file, in the only form that the verifier takes.

Its members are stored uncompressed, in the order of their names, dated 1980, without any field that could be otherwise:
the same bundle is always the same bytes, and there is no byte that could be changed unseen.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tq_cert.errors import FileAccessError, OptionError
from tq_cert.evidence.canonical import sha256
from tq_cert.evidence.errors import BundleExistsError
from tq_cert.evidence.paths import MANIFEST
from tq_cert.files import write_whole


def pack(bundle: Path, archive: Path) -> str:
    """Write a bundle's directory as a zip file, and return its SHA-256.

    Raises:
        OptionError: `bundle` is not the directory of a bundle.
        BundleExistsError: there is something at `archive`.
        FileAccessError: a file cannot be read or written.
    """
    if not (bundle / MANIFEST).is_file():
        raise OptionError("bundle", f"{bundle} is no bundle: it has no {MANIFEST}", "name the directory of a bundle")
    if archive.exists():
        raise BundleExistsError(str(archive))
    try:
        found = (path for path in bundle.rglob("*") if path.is_file())
        files = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in found}
    except OSError as error:
        raise FileAccessError(str(bundle), error) from error
    content = packed(files)
    write_whole(archive, content)
    return sha256(content)


def packed(files: Mapping[str, bytes]) -> bytes:
    """The zip file that holds these files by path."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for path, data in sorted(files.items()):
            member = zipfile.ZipInfo(path)
            member.create_system = 3  # Unix, wherever this runs
            member.external_attr = 0o100644 << 16
            archive.writestr(member, data)
    return content.getvalue()
