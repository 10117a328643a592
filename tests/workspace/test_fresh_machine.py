"""`make` where something is missing says what to do. The rest of a fresh machine is in test_wheels.py."""

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tq_core.availability import WHERE

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "cat", "echo", "env", "grep", "mkdir", "rm", "touch")


@pytest.fixture
def machine(tmp_path):
    """Return an empty checkout and a PATH without Python and uv."""
    (tmp_path / "scripts").mkdir()
    for name in ("Makefile", "scripts/fetch_uv.sh", "scripts/check_platform.py"):
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
    said = make(machine, f"PYTHON={sys.executable}", "setup")
    assert "Connection refused\nNothing is set up. Needed: a network, 1 GB of disk" in said


@pytest.mark.parametrize("uv", [True, False], ids=["uv", "no_uv"])
def test_a_machine_without_packages_of_mlx_is_refused_with_what_works_there(machine, uv):
    if uv:
        (machine / "bin" / "uv").symlink_to(shutil.which("false"))
    intel = python(  # for which pip finds no uv
        machine,
        f'[ "$1" != -m ] || {{ echo "$*" | grep -qv install; exit $?; }}\n'
        f'[ "$1" = scripts/check_platform.py ] || exec {sys.executable} "$@"\n'
        f'exec {sys.executable} -c \'import platform, runpy; platform.machine = lambda: "i686"; '
        'runpy.run_path("scripts/check_platform.py", run_name="__main__")\'',
    )
    said = make(machine, f"PYTHON={intel}", "setup")
    assert re.search(
        r"MLX has no packages for this Python, \S+ on \w+ i686.*: needed is a 64-bit Python on Darwin", said
    )
    assert "works here: pip install packages/tq-contract packages/tq-cert" in said
    assert "Nothing is set up" not in said
    assert not (machine / ".tools").exists()


def test_where_uv_installs_nothing_the_contract_by_itself_is_named(machine):
    (machine / "bin" / "uv").symlink_to(shutil.which("false"))
    said = make(machine, f"PYTHON={sys.executable}", "test-static")
    assert "The contract by itself: pip install packages/tq-contract, then tq-contract check" in said


CHECK = runpy.run_path(str(ROOT / "scripts/check_platform.py"))


def needed(system, machine, macos="", libc=("", ""), wide=True):
    return CHECK["missing"](system, machine, macos, libc, wide=wide)


def test_what_the_lock_has_wheels_of_mlx_for_is_accepted_and_the_version_before_is_not():
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    (mlx,) = (one for one in packages if one["name"] == "mlx")
    tags = {wheel["url"].split("-")[-1].removesuffix(".whl") for wheel in mlx["wheels"]}
    macos = {
        (major, one)
        for major, one in (re.fullmatch(r"macosx_(\d+)_0_(\w+)", tag).groups() for tag in tags if "mac" in tag)
    }
    linux = {re.fullmatch(r"manylinux_2_(\d+)_(\w+)", tag).groups() for tag in tags if "linux" in tag}
    assert {machine for _, machine in macos} == {"arm64"}
    assert {machine for _, machine in linux} == {"x86_64", "aarch64"}
    oldest = min(int(major) for major, _ in macos)
    assert f"macOS {oldest} or newer" in WHERE
    assert needed("Darwin", "arm64", f"{oldest}.0") is None
    assert needed("Darwin", "arm64", f"{oldest - 1}.7.1") == f"macOS {oldest} or newer"
    for minor, machine in linux:
        assert f"glibc 2.{minor} or newer" in WHERE
        assert needed("Linux", machine, libc=("glibc", f"2.{minor}")) is None
        assert needed("Linux", machine, libc=("glibc", f"2.{int(minor) - 1}")) == f"glibc 2.{minor} or newer"


@pytest.mark.parametrize(
    ("here", "said"),
    [
        (("Darwin", "x86_64", "26.1"), "a 64-bit Python on Darwin arm64, Linux x86_64, Linux aarch64"),
        (("Linux", "riscv64", "", ("glibc", "2.39")), "a 64-bit Python on Darwin arm64, Linux x86_64, Linux aarch64"),
        (("Windows", "AMD64"), "a 64-bit Python on Darwin arm64, Linux x86_64, Linux aarch64"),
        (
            ("Linux", "x86_64", "", ("glibc", "2.39"), False),
            "a 64-bit Python on Darwin arm64, Linux x86_64, Linux aarch64",
        ),
        (("Linux", "x86_64"), "glibc 2.35 or newer"),  # musl
    ],
)
def test_any_other_machine_is_told_what_is_needed(here, said):
    assert needed(*here) == said
