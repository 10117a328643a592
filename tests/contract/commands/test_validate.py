"""`tq-contract validate`."""

import json

import pytest

from tq_contract.cli import main


@pytest.fixture
def good(tmp_path, document):
    file = tmp_path / "good.json"
    file.write_text(json.dumps(document))
    return str(file)


@pytest.fixture
def bad(tmp_path, document):
    document["presets"][0]["parameters"]["keys"]["bits"] = 9
    del document["state"]
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(document))
    return str(file)


def test_the_packaged_contract_is_valid(capsys):
    assert main(["validate"]) == 0
    assert capsys.readouterr().out == "contract.json: valid\n"


def test_a_good_file_is_0(good, capsys):
    assert main(["validate", good]) == 0
    assert main(["validate", good, "--json"]) == 0
    text, _, result = capsys.readouterr().out.partition("\n")
    assert text == f"{good}: valid"
    assert json.loads(result) == {"source": good, "valid": True, "problems": [], "error": None}


def test_a_bad_file_is_1_with_every_problem(bad, capsys):
    assert main(["validate", bad]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{bad}: 2 problems"
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["/state", "/presets/0/parameters/keys/bits"]


def test_a_bad_file_as_json(bad, capsys):
    assert main(["validate", "--json", bad]) == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["source"], result["valid"], result["error"]) == (bad, False, None)
    assert result["problems"] == [
        {"place": "/state", "message": "missing", "remedy": "Add the field state."},
        {
            "place": "/presets/0/parameters/keys/bits",
            "message": "9 is not an integer from 1 to 8",
            "remedy": "Write an integer from 1 to 8.",
        },
    ]


@pytest.mark.parametrize("name", ["absent.json", ".", "nul\0.json"])
def test_a_file_that_cannot_be_read_is_2(name, tmp_path, capsys):
    file = f"{tmp_path}/{name}"
    assert main(["validate", file]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("tq-contract validate: ")
    assert main(["validate", file, "--json"]) == 2
    result = json.loads(capsys.readouterr().out)
    assert (result["source"], result["valid"], result["problems"]) == (file, False, [])
    assert result["error"]


def test_half_a_surrogate_pair_in_a_name_can_be_printed(tmp_path, capsys):
    file = tmp_path / "odd.json"
    file.write_text('{"\\ud800": 1}')
    assert main(["validate", str(file)]) == 1
    assert main(["validate", str(file), "--json"]) == 1
    assert "\\ud800" in capsys.readouterr().out
