"""The checkout that a run belongs to: the one that the code runs from, or the one that it is started in."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tq_cert.lanes.provenance import git

BUILT = ("packages", "pyproject.toml", "uv.lock")
"""What wheels and their versions come from: a change elsewhere changes no wheel."""


@dataclass(frozen=True)
class Checkout:
    """Where the sources are, and in which state.

    Attributes:
        commit: that is checked out, or None where git does not say.
        dirty: whether what wheels are built from differs from the commit.
        lock_sha256: of uv.lock.
    """

    commit: str | None
    dirty: bool | None
    lock_sha256: str | None


def find_checkout() -> Checkout | None:
    """The checkout around this code, else around the working directory; None where neither is in one."""
    for start in (Path(__file__).resolve().parent, Path.cwd()):
        for folder in (start, *start.parents):
            if (folder / "packages" / "tq-cert" / "pyproject.toml").is_file():
                return read(folder)
    return None


def read(folder: Path) -> Checkout:
    commit, changes = git(folder, "rev-parse", "HEAD"), git(folder, "status", "--porcelain", "--", *BUILT)
    lock = folder / "uv.lock"
    return Checkout(
        commit=commit,
        dirty=None if changes is None else bool(changes),
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
    )
