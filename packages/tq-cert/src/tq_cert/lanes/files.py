"""Files that appear whole or not at all."""

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
