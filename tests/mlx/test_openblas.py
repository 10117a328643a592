"""OpenBLAS is loaded before MLX; whoever imports MLX first is told what that costs. Each in a process of its own."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="MLX has Accelerate there")


def imports(*modules, **environment):
    program = "".join(f"import {module}\n" for module in modules) + "print(tq_mlx.openblas.outcome)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    return done.stdout.strip(), done.stderr


def test_imported_first_it_is_loaded_without_a_word():
    outcome, said = imports("tq_mlx", "mlx.core")
    assert outcome in ("loaded", "missing")  # whether the machine has the library
    assert not said


def test_imported_after_mlx_it_says_what_that_costs():
    outcome, said = imports("mlx.core", "tq_mlx")
    assert outcome == "too late"
    assert "<string>:2: RuntimeWarning: MLX was imported before tq_mlx" in said
    assert "import tq_mlx first" in said


def test_who_switched_it_off_is_told_nothing():
    assert imports("mlx.core", "tq_mlx", TURBOQUANT_OPENBLAS="off") == ("off", "")
