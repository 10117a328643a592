"""What tests of tq-core share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.core.codec_matrix")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def fresh_python() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs code in a fresh interpreter that can import the tests."""

    def fresh_python(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)

    return fresh_python
