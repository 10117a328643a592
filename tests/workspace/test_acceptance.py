"""docs/acceptance.md: every row is there and every proof that it names exists."""

import re
import shlex
from pathlib import Path

import pytest

import tq_contract
from tq_contract import cli as contract_cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/acceptance.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| \d", line)]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
STAGES = {stage.name for stage in tq_contract.load().certification.stages}


def test_every_row_is_there_once_in_order():
    assert [int(row[0]) for row in ROWS] == list(range(1, 51))
    assert all(len(row) == 4 for row in ROWS)


def exists(proof):
    """Return whether a proof exists: a test or a file of tests, a make target, a command that parses."""
    if proof.startswith("tests/"):
        file, _, name = proof.partition("::")
        path = ROOT / file
        pattern = rf"^def {name}\(" if name else "^( *def|class) [tT]est"
        return path.is_file() and re.search(pattern, path.read_text(), re.MULTILINE) is not None
    match shlex.split(proof):
        case ["make", target]:
            return re.search(rf"^{target}:.*", MAKEFILE, re.MULTILINE) is not None
        case ["tq-contract", *arguments]:
            contract_cli.build_parser().parse_args(arguments)
            return True
    return False


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_proof_exists(row):
    proofs = re.findall(r"`([^`]+)`", row[2])
    assert proofs
    assert [proof for proof in proofs if not exists(proof)] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_mac_shows_is_a_stage(row):
    named = set(re.findall(r"`([^`]+)`", row[3]))
    assert named <= STAGES
    assert bool(named) == (row[3] not in ("", "every stage"))


def test_every_stage_shows_something():
    assert STAGES - set(re.findall(r"`(\w+)`", "".join(row[3] for row in ROWS))) == set()


def test_a_proof_that_is_not_there_is_noticed():
    assert not exists("tests/mlx/test_cache.py::test_nonesuch")
    assert not exists("tests/mlx/test_nonesuch.py")
    assert not exists("make nonesuch")
    assert not exists("nonesuch")
