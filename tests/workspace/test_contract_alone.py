"""The tq-contract wheel in a clean environment: small, without MLX, and every command works."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).parents[2] / "scripts/contract_alone.py"


def test_every_command_works_with_nothing_but_its_two_requirements(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert done.returncode == 0
    assert set(report["sizes"]) == {"tq-contract", "msgspec", "PyYAML"}
    assert sum(report["sizes"].values()) < 6 * 2**20
    assert report["import_seconds"] > 0
