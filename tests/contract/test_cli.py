"""The command line: exit statuses, usage errors, output that cannot be written."""

import os
import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

from tq_contract.cli import main


def test_the_installed_command_is_this_one():
    (command,) = entry_points(group="console_scripts", name="tq-contract")
    assert command.load() is main


@pytest.mark.parametrize("argv", [["--help"], ["show", "--help"], ["validate", "--help"], ["--version"]])
def test_help_and_version_are_good(argv, capsys):
    assert main(argv) == 0
    assert capsys.readouterr().out


def test_version_is_the_package_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out.strip() == version("tq-contract")


@pytest.mark.parametrize("argv", [[], ["frobnicate"], ["show", "extra"], ["validate", "a", "b"], ["show", "--jsn"]])
def test_wrong_usage_is_2(argv, capsys):
    assert main(argv) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "usage: tq-contract" in output.err


def run_with_stdout(stdout):
    command = [sys.executable, "-m", "tq_contract.cli", "show", "--json"]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_2_and_said():
    with open("/dev/full", "w") as full:
        result = run_with_stdout(full)
    assert (result.returncode, result.stderr) == (2, "tq-contract: [Errno 28] No space left on device\n")


def test_a_reader_that_left_is_2_and_no_noise():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        result = run_with_stdout(pipe)
    assert (result.returncode, result.stderr) == (2, "")
