"""`tq-contract docs`."""

import json
import shutil
from pathlib import Path

import pytest

from tq_contract.cli import main
from tq_contract.source_tree import CONTRACT

ROOT = Path(__file__).parents[3]


def test_this_checkout_is_current_and_its_links_lead_somewhere(capsys):
    assert main(["docs", "--check", str(ROOT)]) == 0, capsys.readouterr().out


@pytest.fixture
def checkout(tmp_path):
    for path in ("README.md", CONTRACT):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_check_shows_the_diff_and_exits_1_until_written(checkout, capsys):
    assert main(["docs", "--check", str(checkout)]) == 1
    output = capsys.readouterr().out
    assert "+# Support matrix" in output
    assert "docs/quality_levers.md: there is no such file" in output
    assert "tq-contract docs --write" in output
    assert main(["docs", "--write", str(checkout)]) == 0
    assert "wrote docs/generated/support_matrix.md" in capsys.readouterr().out
    assert main(["docs", "--write", str(checkout)]) == 0
    assert capsys.readouterr().out == "Every document is current.\n"


def test_json(checkout, capsys):
    assert main(["docs", "--check", "--json", str(checkout)]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["error"] is None
    assert {drift["path"] for drift in result["drifts"]} > {"docs/generated/preset_modes.md"}
    assert {link["target"] for link in result["broken_links"]} >= {"docs/quality_levers.md"}
    assert main(["docs", "--write", "--json", str(checkout)]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert {drift["path"] for drift in result["drifts"]} == set(written)


@pytest.mark.parametrize("action", ["--check", "--write"])
def test_a_folder_that_is_no_checkout_is_2(action, tmp_path, capsys):
    assert main(["docs", action, "--json", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert "name the folder of a checkout" in json.loads(output.out)["error"]
    assert "name the folder of a checkout" in output.err


def test_a_readme_without_markers_is_a_finding(checkout, capsys):
    (checkout / "README.md").write_text("# Mine\n")
    assert main(["docs", "--write", str(checkout)]) == 1
    assert "README.md: write <!-- contract:presets -->" in capsys.readouterr().err
    assert not (checkout / "docs").exists()


@pytest.mark.parametrize("argv", [["docs"], ["docs", "--write", "--check"], ["docs", "--check", "a", "b"]])
def test_wrong_usage_is_2(argv):
    assert main(argv) == 2
