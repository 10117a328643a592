import sys

from tq_mlx.cli import main


def test_arguments_and_exit_code_are_those_of_tq_cert(capfd):
    assert main(["bench", "quality", "--help"]) == 0
    assert "usage: tq-cert bench quality" in capfd.readouterr().out
    assert main(["bench", "--help"]) == 0
    assert "usage: tq-cert bench [-h] LANE" in capfd.readouterr().out
    assert main(["bench", "nonesuch"]) == 2
    assert "nonesuch" in capfd.readouterr().err


def test_without_tq_cert_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["bench", "quality"]) == 2
    assert "pip install 'tq-cert[run]'" in capsys.readouterr().err
