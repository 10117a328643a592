"""`tq-contract check`: what it prints and how it ends."""

import json
from pathlib import Path

import pytest

from tq_contract.checks.run import CHECKS
from tq_contract.cli import main

ROOT = str(Path(__file__).parents[3])


@pytest.fixture
def small(tmp_path):
    """A checkout with a contract and nothing that it promises."""
    contract = Path("packages/tq-contract/src/tq_contract/contract.json")
    (tmp_path / contract).parent.mkdir(parents=True)
    (tmp_path / contract).write_bytes((Path(ROOT) / contract).read_bytes())
    (tmp_path / "README.md").write_text("Every preset has been certified on an M3.\n")
    return tmp_path


def test_a_checkout_without_findings_is_0(capsys):
    assert main(["check", ROOT]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [*CHECKS, "waivers"]
    assert all(": no findings" in line for line in lines)


def test_findings_are_1_and_named_with_place_and_remedy(small, capsys):
    assert main(["check", str(small), "--only", "evidence"]) == 1
    output = capsys.readouterr().out
    assert "evidence: 1 finding\n  README.md:1: claims an Apple result without evidence" in output
    assert "Name the SHA-256 of the bundle" in output


def test_only_may_be_given_more_than_once(small, capsys):
    assert main(["check", str(small), "--only", "evidence", "--only", "public_api", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert [one["check"] for one in result["checks"]] == ["evidence", "public_api", "waivers"]
    assert (result["good"], result["error"]) == (False, None)
    assert set(result["checks"][0]["findings"][0]) == {"file", "line", "message", "remedy"}


def test_the_current_folder_is_the_default(small, monkeypatch, capsys):
    monkeypatch.chdir(small)
    assert main(["check", "--only", "evidence"]) == 1
    assert "README.md:1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["absent"], "absent is no checkout"),
        ([".", "--dist", "absent"], "absent is no folder"),
        ([".", "--only", "distributions"], "Name their folder with --dist"),
        ([".", "--only", "workflows"], "Makefile"),
    ],
)
def test_what_cannot_be_read_is_2(arguments, says, small, monkeypatch, capsys):
    monkeypatch.chdir(small)
    (small / ".github/workflows").mkdir(parents=True)
    (small / ".github/workflows/x.yml").write_text("jobs: {a: {steps: [{run: make b}]}}\n")
    assert main(["check", *arguments]) == 2
    assert says in capsys.readouterr().err
    assert main(["check", *arguments, "--json"]) == 2
    assert says in json.loads(capsys.readouterr().out)["error"]


def test_an_invalid_contract_is_1_with_its_problems(small, capsys):
    contract = small / "packages/tq-contract/src/tq_contract/contract.json"
    contract.write_text(contract.read_text().replace('"release": "0.1.0"', '"release": "0.1"'))
    assert main(["check", str(small)]) == 1
    assert "/release" in capsys.readouterr().err


def test_an_unknown_check_is_wrong_usage(capsys):
    assert main(["check", "--only", "spelling"]) == 2
    assert "public_api" in capsys.readouterr().err
