"""What the generated documents say, and that they say it in the same bytes everywhere."""

import os
import subprocess
import sys

import msgspec
import pytest
from tests.contract.by_name import PACKAGED, put

from tq_contract import load, loads, preset_bits
from tq_contract.documents import readme_tables
from tq_contract.documents.catalogue import DOCUMENTS, PARTS

ELSEWHERE = {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(("folder", "environment"), [(".", {"PYTHONHASHSEED": "0"}), ("/", ELSEWHERE)])
def test_the_command_writes_the_committed_bytes_whatever_the_process(folder, environment, checkout):
    """Spoilt documents and README tables are written again, by processes that differ in all that could leak in."""
    paths = [checkout / path for path in (*DOCUMENTS, *PARTS)]
    committed = [path.read_bytes() for path in paths]
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"| supported |", b"| spoilt |"))
    for path in DOCUMENTS:
        (checkout / path).unlink()
    command = [sys.executable, "-m", "tq_contract.cli", "docs", "--write", str(checkout)]
    done = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("wrote ") == len(paths)
    assert [path.read_bytes() for path in paths] == committed


@pytest.mark.parametrize("path", DOCUMENTS)
def test_documents_are_text_with_plain_line_ends(path):
    text = DOCUMENTS[path](load())
    assert text.startswith("<!-- Generated")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\r" not in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert "None" not in text


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_table_has_equally_many_cells_in_each_row(path):
    rows = [line for line in DOCUMENTS[path](load()).splitlines() if line.startswith("|")]
    previous = None
    for row in rows:
        if set(row) <= set("|-:"):
            assert previous is not None
            assert row.count("|") == previous.count("|")
        previous = row
    blocks = "\n".join(DOCUMENTS[path](load()).splitlines()).split("\n\n")
    for block in blocks:
        counts = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(counts) <= 1


SAID = {
    "product_contract": [
        *(stage["name"] for stage in PACKAGED["certification"]["stages"]),
        *(metric["summary"] for metric in PACKAGED["certification"]["metrics"]),
        *(one["because"] for one in PACKAGED["deviations"]),
        PACKAGED["evidence"]["rule"],
        *PACKAGED["windows"].values(),
    ],
    "support_matrix": [preset["name"] for preset in PACKAGED["presets"]],
    "supported-surface": [one["summary"] for one in PACKAGED["secondary_surfaces"]],
    "preset_modes": [text for preset in PACKAGED["presets"] for text in (preset["summary"], *preset["aliases"])],
    "benchmark_index": [one["command"] for one in PACKAGED["benchmarks"]] + PACKAGED["publication"]["rules"],
    "family_evidence_matrix": [item for family in PACKAGED["families"] for item in family["coverage"]],
}


@pytest.mark.parametrize("name", SAID)
def test_nothing_is_left_out(name):
    text = DOCUMENTS[f"docs/generated/{name}.md"](load())
    assert [one for one in SAID[name] if one not in text] == []


def test_every_document_is_looked_at():
    assert {f"docs/generated/{name}.md" for name in SAID} == set(DOCUMENTS)


def test_the_support_matrix_has_the_computed_figure_of_every_preset_and_head_dimension():
    text = DOCUMENTS["docs/generated/support_matrix.md"](load())
    stored = text.partition("## What a preset stores")[2].partition("## Compression")[0]
    rows = {
        cells[1].strip(" `"): [float(cell) for cell in cells[2:-1]]
        for cells in (line.split("|") for line in stored.splitlines() if line.startswith("| `"))
    }
    assert rows == {
        preset.name: [round(preset_bits(preset.parameters, dim) or 0, 4) for dim in load().head_dims]
        for preset in load().presets
    }


def test_key_bits_by_a_noise_target_have_no_figure(document):
    put(document, "/presets/equal_noise_k3v3/parameters/key_bits", {"kind": "noise", "error": 0.5})
    contract = loads(msgspec.json.encode(document).decode())
    (row,) = (line for line in readme_tables.presets(contract).splitlines() if "equal_noise_k3v3" in line)
    assert "an error of 0.5" in row
    assert row.endswith("| by the model |")


def test_a_pipe_ends_no_cell(document):
    document["families"][0]["coverage"][0] = "a|b"
    for stage in document["certification"]["stages"]:
        stage["covers"] = ["a|b" if "smoke" in item else item for item in stage["covers"]]
    document["families"][1]["coverage"][0] = "a|b"
    assert "a&#124;b" in readme_tables.families(loads(msgspec.json.encode(document).decode()))
