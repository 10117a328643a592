"""`make` where something is missing says what to do. The rest of a fresh machine is in test_wheels.py."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "cat", "echo", "env", "mkdir", "rm", "touch")


@pytest.fixture
def machine(tmp_path):
    """Return an empty checkout and a PATH without Python and uv."""
    (tmp_path / "scripts").mkdir()
    for name in ("Makefile", "scripts/fetch_uv.sh"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for name in TOOLS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    return tmp_path


def python(machine, script):
    """Make a Python that answers as the shell script does."""
    path = machine / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def make(machine, *arguments):
    done = subprocess.run(
        [shutil.which("make"), *map(str, arguments)],
        cwd=machine,
        env={"PATH": str(machine / "bin"), "HOME": str(machine)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    return done.stderr


def test_without_a_python_it_says_which(machine):
    assert "No Python 3.11 or newer found: install one, or name it: make PYTHON=" in make(machine, "setup")


def test_an_old_python_is_named(machine):
    old = python(machine, "exit 1")
    assert f"{old} is no Python 3.11 or newer: name another: make PYTHON=" in make(machine, f"PYTHON={old}", "setup")


def test_a_python_without_pip_is_named(machine):
    bare = python(machine, '[ "$1" = -c ]')
    assert f"{bare} has no pip: install it" in make(machine, f"PYTHON={bare}", "setup")


def test_without_a_network_half_of_uv_is_not_left_behind(machine):
    broken = python(
        machine, '[ "$3" != install ] || { mkdir -p .tools/bin; touch .tools/bin/uv; echo no route >&2; exit 1; }'
    )
    said = make(machine, f"PYTHON={broken}", "setup")
    assert "no route" in said
    assert "is there a network, and room on this disk?" in said
    assert not (machine / ".tools").exists()


def test_what_setup_needs_is_said_after_uvs_own_words(machine):
    uv = machine / "bin" / "uv"
    uv.write_text("#!/bin/sh\necho Connection refused >&2; exit 1\n")
    uv.chmod(0o755)
    said = make(machine, "PYTHON=python", "setup")
    assert "Connection refused\nNothing is set up. Needed: a network, 1 GB of disk" in said
