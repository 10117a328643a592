"""`tq-contract preflight`: its verdict on machines that are described, and on this one."""

import json
from importlib.metadata import version

import pytest

from tq_contract import load
from tq_contract.cli import main
from tq_contract.commands import preflight as command
from tq_contract.commands.preflight import exit_code
from tq_contract.exit_code import ExitCode
from tq_contract.preflight import Installed, Machine, installed, judge, survey

RELEASE = load().release
OURS = ("tq-core", "tq-contract", "tq-mlx", "tq-cert")
WHEELS = {"mlx": Installed("0.32.4"), "mlx-lm": Installed("0.32.2")} | dict.fromkeys(OURS, Installed(RELEASE))


def machine(**changed):
    mac = {"python": "3.12.1", "system": "Darwin", "machine": "arm64", "overrides": {}, "openblas": None}
    return Machine(**(mac | {"installed": WHEELS} | changed))


def test_a_mac_with_wheels_could_certify():
    items = judge(machine(), load())
    assert [item.what for item in items] == ["python", "platform", "mlx", "mlx-lm", *OURS]
    assert {item.verdict for item in items} == {"good"}
    assert exit_code(items, strict=True) == exit_code(items, strict=False) == ExitCode.GOOD


CASES = {
    "an old Python": ({"python": "3.10.9"}, {"python": "problem"}),
    "Linux": ({"system": "Linux", "machine": "x86_64", "openblas": True}, {"platform": "warning"}),
    "an unknown machine": ({"system": "Windows", "machine": "AMD64"}, {"platform": "warning"}),
    "an Intel Mac": ({"machine": "x86_64"}, {"platform": "warning"}),
    "MLX too new": ({"installed": WHEELS | {"mlx": Installed("0.33.0")}}, {"mlx": "problem"}),
    "mlx-lm too old": ({"installed": WHEELS | {"mlx-lm": Installed("0.31.9")}}, {"mlx-lm": "problem"}),
    "no MLX": ({"installed": WHEELS | {"mlx": None}}, {"mlx": "warning"}),
    "another release": ({"installed": WHEELS | {"tq-mlx": Installed("0.0.9")}}, {"tq-mlx": "problem"}),
    "editable": ({"installed": WHEELS | {"tq-core": Installed(RELEASE, True)}}, {"tq-core": "warning"}),
    "editable and another": ({"installed": WHEELS | {"tq-core": Installed("9.0.0", True)}}, {"tq-core": "problem"}),
    "an override": ({"overrides": {"TURBOQUANT_HOOKS": "off"}}, {"TURBOQUANT_HOOKS": "warning"}),
    "no OpenBLAS": ({"openblas": False}, {"openblas": "advice"}),
}


@pytest.mark.parametrize(("changed", "expected"), CASES.values(), ids=CASES)
def test_what_differs_is_judged(changed, expected):
    items = judge(machine(**changed), load())
    assert {item.what: item.verdict for item in items if item.verdict != "good"} == expected
    assert all(item.remedy.endswith((".", ")")) for item in items if item.verdict != "good")
    (verdict,) = expected.values()
    strict, usual = {
        "problem": (ExitCode.REFUSED, ExitCode.FINDINGS),
        "warning": (ExitCode.REFUSED, ExitCode.GOOD),
        "advice": (ExitCode.GOOD, ExitCode.GOOD),
    }[verdict]
    assert (exit_code(items, strict=True), exit_code(items, strict=False)) == (strict, usual)


def test_installed_reads_metadata():
    assert installed("pytest") == Installed(version("pytest"))
    assert installed("tq-contract").version == RELEASE
    assert installed("no-such-distribution") is None


def test_an_editable_install_is_recognised(tmp_path, monkeypatch):
    info = tmp_path / "tq_fake-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tq-fake\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert installed("tq-fake") == Installed("1.0", editable=False)
    (info / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    assert installed("tq-fake") == Installed("1.0", editable=True)


def test_the_survey_sees_overrides_and_nothing_else_of_the_environment(monkeypatch):
    monkeypatch.setenv("TURBOQUANT_OPENBLAS", "off")
    monkeypatch.setenv("MLX_METAL_FAST_SYNCH", "1")
    monkeypatch.setenv("TQ_TEST_LLAMA_MODEL", "x")
    seen = survey(load())
    assert seen.overrides["TURBOQUANT_OPENBLAS"] == "off"
    assert seen.overrides["MLX_METAL_FAST_SYNCH"] == "1"
    assert "TQ_TEST_LLAMA_MODEL" not in seen.overrides
    assert set(seen.installed) == {"mlx", "mlx-lm", *OURS}


@pytest.fixture
def here(monkeypatch):
    def here(**changed):
        monkeypatch.setattr(command, "survey", lambda contract: machine(**changed))

    return here


def test_people_see_a_table(here, capsys):
    here(overrides={"TURBOQUANT_HOOKS": "off"})
    assert main(["preflight"]) == 0
    output = capsys.readouterr().out
    assert "warning  TURBOQUANT_HOOKS  off           Unset it" in output
    assert output.endswith("Nothing that runs here could be certified.\n")
    here()
    assert main(["preflight", "--strict"]) == 0
    assert capsys.readouterr().out.endswith("Nothing that shows without MLX rules out certification.\n")


def test_programs_see_json(here, capsys):
    here(python="3.10.0")
    assert main(["preflight", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["good"], result["certifiable"]) == (False, False)
    assert result["items"][0] == {
        "what": "python",
        "found": "3.10.0",
        "verdict": "problem",
        "remedy": "Use Python >=3.11.",
    }
    assert main(["preflight", "--json", "--strict"]) == 3
    assert json.loads(capsys.readouterr().out)["good"] is False


def test_this_machine_can_be_surveyed(capsys):
    assert main(["preflight", "--json"]) in (0, 1)
    assert {"python", "platform"} < {item["what"] for item in json.loads(capsys.readouterr().out)["items"]}
