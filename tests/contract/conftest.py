"""The packaged contract as plain data, and what the loader says of a broken copy."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tq_contract import ContractError, load_bytes
from tq_contract.load import packaged_bytes


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads(packaged_bytes())


@pytest.fixture(scope="session")
def places_of() -> Callable[[Any], list[str]]:
    """The sorted places of all problems of a document, or of its text."""

    def places_of(source: Any) -> list[str]:
        data = source if isinstance(source, bytes) else json.dumps(source).encode()
        try:
            load_bytes(data)
        except ContractError as error:
            return sorted(problem.place for problem in error.problems)
        return []

    return places_of


@pytest.fixture(scope="session")
def run_python() -> Callable[[str], str]:
    """Run a line of Python in a fresh interpreter and return what it printed."""

    def run_python(code: str) -> str:
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run_python
