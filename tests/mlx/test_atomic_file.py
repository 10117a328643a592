"""A save that is killed, fails or finds no room leaves the old file whole."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from mlx_lm.models.cache import KVCache

from tq_mlx import load_cache, save_cache
from tq_mlx.atomic_file import replacing
from vectors import keys_and_values

CHILD = """
import resource, signal, sys, time
import tq_mlx, tq_mlx.atomic_file, tq_mlx.safetensors_file
import mlx.core as mx
from mlx_lm.models.cache import KVCache

def wait(*_):
    print("there", flush=True)
    time.sleep(600)

cache = KVCache()
cache.update_and_fetch(mx.ones((1, 4, 256, 64)), mx.ones((1, 4, 256, 64)))  # two tensors of 256 kB
"""

MOMENTS = {
    "while writing": """
        real, seen = tq_mlx.safetensors_file.bytes_of, []
        tq_mlx.safetensors_file.bytes_of = lambda array: wait() if seen else seen.append(1) or real(array)
    """,
    "before the rename": "tq_mlx.atomic_file.sync = wait",
}


@pytest.fixture
def old_file(tmp_path):
    """Return a file that holds a cache of five tokens, alone in its directory."""
    cache = KVCache()
    cache.update_and_fetch(*keys_and_values(5))
    save_cache(tmp_path / "cache", [cache])
    return tmp_path / "cache"


def child(path, code):
    script = CHILD + textwrap.dedent(code) + f"\ntq_mlx.save_cache({str(path)!r}, [cache])\n"
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_save_leaves_the_old_file(old_file, moment):
    before = old_file.read_bytes()
    with child(old_file, MOMENTS[moment]) as process:
        assert process.stdout.readline() == "there\n", process.stderr.read()
        temporary = [name for name in os.listdir(old_file.parent) if name != "cache"]
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(temporary) == 1
    assert temporary[0].startswith(".cache.")
    assert old_file.read_bytes() == before
    assert load_cache(old_file)[0].offset == 5
    save_cache(old_file, [KVCache()])  # what the killed one left is in nobody's way


def test_without_room_the_old_file_stays_and_the_new_one_goes(old_file):
    """The system's own limit on file sizes stands for a full disk: the same error from the same call, anywhere."""
    before = old_file.read_bytes()
    limit = """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    """
    with child(old_file, limit) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "File too large: nothing was saved, and what was there before is as it was" in errors
    assert old_file.read_bytes() == before
    assert os.listdir(old_file.parent) == ["cache"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
def test_any_other_end_removes_the_new_file_and_passes_on(tmp_path, error):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(error):
        write_half_and_raise(tmp_path / "file", error)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def write_half_and_raise(path, error):
    with replacing(path) as file:
        file.write(b"half")
        raise error


def test_a_link_goes_on_pointing_to_the_file(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path / "there") == ["file"]


def test_a_missing_directory_is_an_os_error_that_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing was saved.*missing/file"):
        write_half_and_raise(tmp_path / "missing" / "file", KeyError)


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: calls.append(name) or real(*args))
    with replacing(tmp_path / "file") as file:
        file.write(b"x")
    assert calls == ["fsync", "replace", "fsync"]
