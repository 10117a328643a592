"""Where MLX cannot be imported, tq_core says what to do, on whatever machine that is."""

import os
import platform
import subprocess
import sys

import pytest

from tq_core.availability import explained

MACHINES = [  # sys.platform, system, machine, remedy
    ("linux", "Linux", "riscv64", 'pip install "mlx[cpu]<'),
    ("darwin", "Darwin", "x86_64", 'pip install "mlx<'),
    ("win32", "Windows", "AMD64", "another machine. "),
]


@pytest.mark.parametrize(("name", "system", "machine", "remedy"), MACHINES, ids=[one[1] for one in MACHINES])
def test_the_machine_and_the_remedy_are_named(name, system, machine, remedy, monkeypatch):
    monkeypatch.setattr(sys, "platform", name)
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    error = explained(ModuleNotFoundError("No module named 'mlx'"))
    assert error.name == "mlx"
    said = str(error)
    assert said.startswith("tq_core needs MLX, and importing it failed: No module named 'mlx'\n")
    assert f"remedy: {remedy}" in said
    assert "MLX has packages for macOS 14 or newer on Apple Silicon" in said
    assert f"this is {system} {machine}." in said
    assert "Neither tq-contract nor tq-cert verify needs it." in said


@pytest.mark.parametrize("module", ["tq_core", "tq_mlx"])
def test_an_mlx_without_its_library_is_said_first(module, tmp_path):
    package = tmp_path / "mlx"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "core.py").write_text('raise ImportError("libmlx.so: cannot open shared object file")')
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = "ImportError: tq_core needs MLX, and importing it failed: libmlx.so: cannot open shared object file\n"
    assert said in done.stderr
