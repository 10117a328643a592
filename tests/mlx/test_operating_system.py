"""An operating system that the contract does not name is refused before anything that it lacks is missed."""

import os
import subprocess
import sys

import pytest

from tq_mlx.errors import UnsupportedSystemError
from tq_mlx.operating_system import require


@pytest.mark.parametrize("system", ["Darwin", "Linux"])
def test_the_contract_s_are_accepted(system):
    require(system)


def test_another_is_refused_with_what_works_there():
    with pytest.raises(
        UnsupportedSystemError, match=r"runs on Darwin and Linux, not on Windows: .*tq-contract works here"
    ):
        require("Windows")


def test_the_import_is_refused_in_these_words_where_a_module_of_unix_is_missing():
    windows = "import sys, platform; sys.modules['fcntl'] = None; platform.system = lambda: 'Windows'; import tq_mlx"
    done = subprocess.run([sys.executable, "-c", windows], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 1
    assert "UnsupportedSystemError: tq_mlx runs on Darwin and Linux, not on Windows" in done.stderr
