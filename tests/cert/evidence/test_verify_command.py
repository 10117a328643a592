"""`tq-cert verify` and `tq-cert pack`: what they print and how they end, without MLX and without a network."""

import hashlib
import json
import subprocess
import sys

import msgspec
import pytest

import broken_bundles as bb
import evidence_bundle as eb
from tq_cert.cli import main
from tq_cert.evidence.verification.faults import KINDS


@pytest.fixture
def certificate(tmp_path):
    return bb.write(bb.Broken(eb.bundle(), ""), tmp_path)


@pytest.fixture
def rehearsal(tmp_path):
    return bb.write(bb.Broken(eb.bundle(eb.manifest(eb.LINUX)), ""), tmp_path)


def test_an_intact_bundle_is_good_and_its_verdict_is_said(certificate, capsys):
    assert main(["verify", str(certificate), "--require", "passed"]) == 0
    printed = capsys.readouterr().out
    assert "verdict: passed for llama, gemma" in printed
    assert all(stage.name in printed for stage in eb.EDITION.stages)


def test_a_rehearsal_is_good_but_no_certificate(rehearsal, capsys):
    assert main(["verify", str(rehearsal)]) == 0
    assert "verdict: rehearsal" in capsys.readouterr().out
    assert main(["verify", str(rehearsal), "--require", "passed"]) == 1
    assert "its verdict is rehearsal, not passed [other_verdict]" in capsys.readouterr().out


def test_json_has_everything(rehearsal, capsys):
    assert main(["verify", str(rehearsal), "--require", "passed", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"]["name"] == "rehearsal"
    assert document["verdict"]["reasons"] == ["not_apple_silicon: Linux x86_64 cpu, cpu"]
    assert [fault["code"] for fault in document["faults"]] == ["other_verdict"]
    assert document["families"] == ["llama", "gemma"]
    assert document["wheels"] == {wheel.file: wheel.sha256 for wheel in eb.manifest().wheels}
    gates = [gate for stage in document["verdict"]["stages"] for gate in stage["gates"]]
    assert all(gate["kept"] and gate["samples"] for gate in gates)


@pytest.mark.parametrize(("code", "status"), [("wrong_digest", 1), ("unreadable", 2), ("future_schema", 3)])
def test_exit_codes(code, status, tmp_path, capsys):
    broken = bb.EXAMPLES[code]()
    assert main(["verify", str(bb.write(broken, tmp_path))]) == status == KINDS[code].exit_code
    printed = capsys.readouterr().out
    assert f"[{code}]" in printed
    assert broken.file in printed
    assert "remedy: " in printed
    assert "verdict: none" in printed


def test_usage(certificate, capsys):
    assert main(["verify"]) == 2
    assert main(["verify", str(certificate), "--require", "excellent"]) == 2
    assert main(["verify", str(certificate), "--key", str(certificate / "manifest.json")]) == 2
    assert main(["verify", str(certificate), "--wheel", str(certificate / "missing.whl")]) == 2
    capsys.readouterr()


def test_wheels_are_held_against_the_subject(tmp_path, capsys):
    wheel = tmp_path / "tq_core-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"tq-core")  # whose digest the example's manifest names
    path = bb.write(bb.Broken(eb.bundle(), ""), tmp_path)
    assert main(["verify", str(path), "--wheel", str(wheel)]) == 0
    wheel.write_bytes(b"tq-core with a change")
    assert main(["verify", str(path), "--wheel", str(wheel)]) == 1
    assert "[uncertified_wheel]" in capsys.readouterr().out


def test_packing_makes_a_zip_file_that_verifies_and_is_not_written_over(certificate, tmp_path, capsys):
    archive = tmp_path / "certificate.zip"
    assert main(["pack", str(certificate), str(archive)]) == 0
    assert capsys.readouterr().out == f"{archive}\n"
    assert main(["verify", str(archive), "--require", "passed"]) == 0
    before = archive.read_bytes()
    assert main(["pack", str(certificate), str(archive)]) == 2
    assert archive.read_bytes() == before


@pytest.mark.parametrize("source", ["missing", "empty", "certificate.zip"])
def test_what_is_no_bundles_directory_is_not_packed(source, certificate, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["pack", str(certificate), str(tmp_path / "certificate.zip")]) == 0
    archive = tmp_path / "another.zip"
    assert main(["pack", str(tmp_path / source), str(archive)]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / source} is no bundle" in error
    assert not archive.exists()


def test_packing_says_as_json_what_it_wrote(certificate, tmp_path, capsys):
    archive = tmp_path / "certificate.zip"
    assert main(["pack", str(certificate), str(archive), "--json"]) == 0
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert json.loads(capsys.readouterr().out) == {"archive": str(archive), "sha256": digest}


def test_terminal_sequences_in_a_bundle_are_not_printed(tmp_path, capsys):
    runs = [
        msgspec.structs.replace(run, status="failed", reason="\x1b[2J[bold]all is well[/bold]", cases=(), series=())
        if run.stage == "memory"
        else run
        for run in eb.runs()
    ]
    assert main(["verify", str(bb.write(bb.Broken(eb.bundle(stages=runs), ""), tmp_path))]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "[bold]all is well[/bold]" in printed
    assert "verdict: failed" in printed


def test_neither_mlx_nor_a_network_is_needed(certificate):
    code = (
        "import socket, sys\n"
        "for name in ('mlx', 'mlx_lm', 'tq_mlx', 'tq_core', 'numpy', 'fcntl'): sys.modules[name] = None\n"
        "def refuse(*arguments): raise AssertionError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from tq_cert.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "verify", str(certificate), "--require", "passed"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
