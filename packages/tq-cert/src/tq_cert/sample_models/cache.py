"""Where sample models live, and how one appears there: whole, or not at all.

A model is built in a hidden sibling of its final directory and renamed at the end, under a lock. What a killed
build left behind is removed by the next one.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tq_cert.progress import Progress
from tq_cert.sample_models.recipes import Recipe

# Raise it when the building code changes what it writes: old directories are then not reused.
BUILD_FORMAT = 1


def cache_root() -> Path:
    """$TQ_CACHE_DIR, else $XDG_CACHE_HOME/turboquant-mlx, else ~/.cache/turboquant-mlx."""
    if chosen := os.environ.get("TQ_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base).expanduser().absolute() / "turboquant-mlx"
    return Path.home() / ".cache" / "turboquant-mlx"


def recipe_digest(recipe: Recipe) -> str:
    """A short digest of everything that decides what the build writes, except the dtype."""
    text = msgspec.json.encode([BUILD_FORMAT, recipe], order="deterministic")
    return hashlib.sha256(text).hexdigest()[:12]


def model_directory(recipe: Recipe, dtype: str) -> Path:
    """The directory of a finished model; a changed recipe has another one."""
    return cache_root() / "sample-models" / f"{recipe.name}-{dtype}-{recipe_digest(recipe)}"


@contextmanager
def locked(directory: Path, progress: Progress) -> Generator[None]:
    """Hold the lock of one model; waits while another process builds it."""
    import fcntl  # Windows has none, and verifies bundles all the same

    directory.parent.mkdir(parents=True, exist_ok=True)
    with (directory.parent / f".{directory.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note(f"waiting for another process that builds {directory.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(directory: Path) -> Generator[tuple[Path, Path]]:
    """Two empty directories; what the body puts into the first becomes `directory` when it succeeds.

    Yields:
        The directory to fill, and a scratch directory that is deleted in any case.
    """
    prefix = f".{directory.name}.building-"
    for stale in directory.parent.glob(f"{prefix}*"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
    try:
        result, scratch = temporary / "result", temporary / "scratch"
        result.mkdir()
        scratch.mkdir()
        yield result, scratch
        _sync(result)
        if directory.exists():
            directory.rename(temporary / "replaced")
        result.rename(directory)
        _sync_path(directory.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync(directory: Path) -> None:
    for path in directory.iterdir():
        _sync_path(path)
    _sync_path(directory)


def _sync_path(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
