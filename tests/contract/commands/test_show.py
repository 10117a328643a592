"""`tq-contract show`."""

import json

from tq_contract import ContractError, Problem, digest
from tq_contract.cli import main
from tq_contract.commands import show


def test_json_is_the_contract(capsys, document):
    assert main(["show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == document


def test_people_see_every_name(capsys, document):
    assert main(["show"]) == 0
    output = capsys.readouterr().out
    named = [one["name"] for section in ("presets", "families", "hooks") for one in document[section]]
    named += [stage["name"] for stage in document["certification"]["stages"]]
    named += [preset["summary"] for preset in document["presets"]]
    named += [alias for preset in document["presets"] for alias in preset["aliases"]]
    named += [
        *document["windows"].values(),
        document["release"],
        "mse 3",
        "uniform 4",
        "prod 3",
        "polar 5",
        "topk 8",
        "centred",
        "mean 4.4",
        "upgrade_cache_list",
        digest(),
    ]
    assert [name for name in named if name not in output] == []
    assert not [line for line in output.splitlines() if line != line.rstrip()]


def test_a_broken_installation_is_a_finding(capsys, monkeypatch):
    def broken():
        raise ContractError([Problem("/release", "missing", "Add it.")], "contract.json")

    monkeypatch.setattr(show, "load", broken)
    assert main(["show"]) == 1
    assert "/release: missing" in capsys.readouterr().err
