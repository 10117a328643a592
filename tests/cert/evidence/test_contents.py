"""Bundles that cannot be read at all, or should not be."""

import os

import pytest

import broken_bundles as bb
import evidence_bundle as eb
from tq_cert.evidence import verify


def codes(path):
    report = verify(path)
    assert report.verdict is None
    return {fault.code for fault in report.faults}


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert codes(tmp_path / "pipe") == {"unreadable"}


def test_a_name_that_the_system_refuses(tmp_path):
    assert codes(tmp_path / ("x" * 300)) == {"unreadable"}


def test_a_folder_that_may_not_be_listed_is_not_passed_over(tmp_path, monkeypatch):
    path = bb.write(bb.Broken(eb.bundle(), ""), tmp_path)
    listed = os.scandir

    def scandir(folder):
        if str(folder).endswith("stages"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert codes(path) == {"unreadable"}


@pytest.mark.parametrize("form", ["directory", "zip"])
def test_what_is_too_large_is_not_read(form, tmp_path):
    path = bb.write(bb.Broken(eb.bundle(), ""), tmp_path)
    if form == "zip":
        path = tmp_path / "large.zip"
        path.write_bytes(b"PK")
        os.truncate(path, 2**29)  # a file with a hole: it takes no space, and would take half a gigabyte of memory
    else:
        os.truncate(path / "manifest.json", 2**29)
    assert codes(path) == {"too_large"}
