"""A checkout's documents against the contract: what drifts is shown, and writing mends it."""

import os

import pytest

from tq_contract import load
from tq_contract.documents.catalogue import DOCUMENTS, PARTS
from tq_contract.documents.drift import NotACheckoutError, check_root, drifts, write
from tq_contract.documents.parts import MarkerError
from tq_contract.source_tree import CONTRACT

WORDS = {  # path → a word of what is generated there
    "docs/generated/benchmark_index.md": "available",
    "docs/generated/family_evidence_matrix.md": "gates",
    "docs/generated/preset_modes.md": "rotation",
    "docs/generated/product_contract.md": "allowlisted",
    "docs/generated/support_matrix.md": "uniform_k4v4",
    "docs/generated/supported-surface.md": "keyword",
    "README.md": "| supported |",
}


def paths(root):
    return [drift.path for drift in drifts(load(), root)]


def test_the_repository_s_own_documents_are_current(checkout):
    assert paths(checkout) == []


def test_every_document_is_edited():
    assert set(WORDS) == {*DOCUMENTS, *PARTS}


@pytest.mark.parametrize(("path", "word"), WORDS.items())
def test_an_edit_is_shown_as_a_diff_and_undone(path, word, checkout):
    file = checkout / path
    before = file.read_bytes()
    file.write_bytes(before.replace(word.encode(), b"| edited |"))
    (drift,) = drifts(load(), checkout)
    assert (drift.path, drift.mendable) == (path, True)
    lines = drift.diff.splitlines()
    assert lines[:2] == [f"--- {path} (as it is)", f"+++ {path} (as the contract says)"]
    assert any(line.startswith("-") and "| edited |" in line for line in lines[2:])
    assert any(line.startswith("+") and word in line for line in lines[2:])
    assert write(load(), checkout) == [path]
    assert file.read_bytes() == before
    assert write(load(), checkout) == []


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_missing_document_is_written(path, checkout):
    before = (checkout / path).read_bytes()
    (checkout / path).unlink()
    assert paths(checkout) == [path]
    write(load(), checkout)
    assert (checkout / path).read_bytes() == before


@pytest.mark.parametrize("damage", [lambda b: b.replace(b"\n", b"\r\n"), lambda b: b[:-1], lambda b: b + b"\xff\n"])
def test_bytes_count(damage, checkout):
    path = next(iter(DOCUMENTS))
    file = checkout / path
    before = file.read_bytes()
    file.write_bytes(damage(before))
    assert paths(checkout) == [path]
    write(load(), checkout)
    assert file.read_bytes() == before


def test_what_people_write_around_a_part_stays(checkout):
    file = checkout / "README.md"
    text = "Hello.\r\n" + file.read_text() + "Bye \udcff"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert paths(checkout) == []
    file.write_bytes(text.replace("| supported |", "| promised |").encode("utf-8", "surrogateescape"))
    assert write(load(), checkout) == ["README.md"]
    assert file.read_bytes() == text.encode("utf-8", "surrogateescape")


def test_a_missing_marker_is_a_finding_and_nothing_is_written(checkout):
    file = checkout / "README.md"
    file.write_text(file.read_text().replace("<!-- /contract:presets -->", ""))
    (checkout / next(iter(DOCUMENTS))).unlink()
    found = {drift.path: drift for drift in drifts(load(), checkout)}
    assert set(found) == {"README.md", next(iter(DOCUMENTS))}
    assert not found["README.md"].mendable
    assert "<!-- /contract:presets -->" in found["README.md"].diff
    with pytest.raises(MarkerError, match=r"README\.md"):
        write(load(), checkout)
    assert not (checkout / next(iter(DOCUMENTS))).exists()


def test_a_stranger_among_generated_documents_is_a_finding(checkout):
    (checkout / "docs/generated/notes.md").write_text("mine")
    (drift,) = drifts(load(), checkout)
    assert (drift.path, drift.mendable) == ("docs/generated/notes.md", False)


def test_another_contract_is_a_finding(checkout):
    (checkout / CONTRACT).write_bytes((checkout / CONTRACT).read_bytes() + b" ")
    (drift,) = drifts(load(), checkout)
    assert (drift.path, drift.mendable) == (CONTRACT, False)


def test_a_folder_without_a_checkout_is_refused(tmp_path):
    with pytest.raises(NotACheckoutError, match="name the folder of a checkout"):
        check_root(tmp_path)


def test_an_interrupted_write_leaves_the_old_file(checkout, monkeypatch):
    path = next(iter(DOCUMENTS))
    (checkout / path).write_text("old")

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write(load(), checkout)
    assert (checkout / path).read_text() == "old"
    assert [file.name for file in (checkout / path).parent.iterdir() if file.name.startswith(".")] == []
