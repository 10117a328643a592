"""`tq-cert run` from the outside: a process of its own, killed, resumed, refused; its bundles verified."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from fake_run import write_results

import tq_contract
from tq_cert.certification.plan import Plan
from tq_cert.cli import main
from tq_cert.evidence import derive, read_stages
from tq_cert.evidence.policy.load import CURRENT, load_edition

FAKE = Path(__file__).with_name("fake_run.py")
STAGES = [stage.name for stage in tq_contract.load().certification.stages]
KILLS = 20


@pytest.fixture
def fake(tmp_path):
    """Starts `tq-cert run` on a made-up machine."""

    class Fake:
        out = tmp_path / "out"
        results = tmp_path / "results"

        def start(self, *arguments, machine="linux", wait=0):
            environment = os.environ | {
                "FAKE_MACHINE": machine, "FAKE_RESULTS": str(self.results), "FAKE_WAIT": str(wait)
            }  # fmt: skip
            command = [sys.executable, str(FAKE), "run", "--out", str(self.out), "--json", *arguments]
            return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        def run(self, *arguments, **options):
            process = self.start(*arguments, **options)
            out, err = process.communicate(timeout=120)
            assert out, err.decode()
            return process.returncode, json.loads(out)

        def verified(self, capsys):
            code = main(["verify", str(self.out / "bundle.zip"), "--json"])
            return code, json.loads(capsys.readouterr().out)

        def verdict_so_far(self):
            """What the records on disk come to, by the verifier's own derivation."""
            plan = self.out / "run" / "plan.json"
            if not plan.exists():
                return "incomplete"
            plan = msgspec.json.decode(plan.read_bytes(), type=Plan)
            records = read_stages(self.out / "run", plan.environment)
            return derive(plan.manifest(), records, load_edition(CURRENT)).name

        @property
        def started(self):
            return (self.results / "started.log").read_text().splitlines()

    Fake.results.mkdir()
    write_results(Fake.results, "linux")
    return Fake()


def test_a_run_on_linux_is_a_rehearsal_and_its_bundle_verifies(fake, capsys):
    code, document = fake.run()
    assert code == 0
    assert document["verdict"]["name"] == "rehearsal"
    assert any(reason.startswith("not_apple_silicon") for reason in document["verdict"]["reasons"])
    assert fake.started == STAGES
    code, report = fake.verified(capsys)
    assert (code, report["verdict"]["name"], report["faults"]) == (0, "rehearsal", [])


def test_a_run_that_is_killed_again_and_again_goes_on_after_its_last_whole_stage(fake, capsys):
    """At whatever moment: what is recorded stays, an unfinished run is incomplete, and a finished one what it is."""
    drawn, kills, log = random.Random(3), 0, fake.out / "run" / "stages.jsonl"
    began = time.monotonic()
    fake.run(wait=30)
    whole = time.monotonic() - began
    shutil.rmtree(fake.out)
    before = b""
    while kills < KILLS:
        process = fake.start(wait=30)
        try:
            process.communicate(timeout=whole * drawn.random())
            assert process.returncode == 0
        except subprocess.TimeoutExpired:
            process.kill()
            kills += process.wait() == -signal.SIGKILL
            process.communicate()
        recorded = log.read_bytes() if log.exists() else b""
        assert recorded.startswith(before)
        before = recorded[: recorded.rfind(b"\n") + 1]
        done = before.count(b"\n")
        assert fake.verdict_so_far() == ("rehearsal" if done == len(STAGES) else "incomplete")
        if (fake.out / "bundle.zip").exists():
            assert fake.verified(capsys)[1]["verdict"]["name"] == "rehearsal"
            shutil.rmtree(fake.out)
            before = b""
    code, document = fake.run()
    assert (code, document["verdict"]["name"]) == (0, "rehearsal")
    code, report = fake.verified(capsys)
    assert (code, report["verdict"]["name"], report["faults"]) == (0, "rehearsal", [])
    assert [stage["stage"] for stage in report["verdict"]["stages"]] == STAGES
    assert not list((fake.out / "run").glob("scratch-*"))


def test_a_failing_stage_hides_none_behind_it(fake, capsys):
    write_results(fake.results, "linux", failing="path_proof")
    code, document = fake.run()
    assert (code, document["verdict"]["name"]) == (1, "failed")
    outcomes = {stage["stage"]: stage["outcome"] for stage in document["verdict"]["stages"]}
    assert {name for name, outcome in outcomes.items() if outcome == "failed"} == {"path_proof"}
    assert fake.started == STAGES
    assert fake.verified(capsys)[1]["verdict"]["name"] == "failed"


def test_stages_that_are_picked_are_tried_from_the_start_and_count_for_nothing(fake):
    for _ in range(2):
        code, document = fake.run("--only", "memory", "preflight")
        assert (code, document["verdict"]["name"], document["bundle"]) == (1, "incomplete", None)
        outcomes = {stage["stage"]: stage["outcome"] for stage in document["verdict"]["stages"]}
        assert {name for name, outcome in outcomes.items() if outcome == "held"} == {"preflight", "memory"}
    assert fake.started == ["preflight", "memory"] * 2
    assert not (fake.out / "run").exists()


def test_one_family_is_not_the_whole_scope(fake):
    write_results(fake.results, "linux", families=("llama",))
    code, document = fake.run("--families", "llama")
    assert (code, document["verdict"]["name"]) == (1, "incomplete")
    assert "gemma: out of scope" in document["verdict"]["reasons"]


def test_a_mac_that_could_certify_refuses_before_it_measures(fake):
    write_results(fake.results, "mac")
    code, document = fake.run(machine="mac")
    assert code == 3
    assert "missing_wheels" in document["error"]["message"]
    assert "--wheels" in document["error"]["remedy"]
    assert not (fake.results / "started.log").exists()
    assert not (fake.out / "run" / "plan.json").exists()  # which would hold the next run to the same conditions


def test_a_run_goes_on_only_under_the_conditions_that_it_was_begun_in(fake):
    process = fake.start(wait=2000)
    while not (fake.out / "run" / "stages.jsonl").exists():
        time.sleep(0.05)
    process.kill()
    process.communicate()
    code, document = fake.run(machine="newer linux")
    assert code == 2
    assert "environment" in document["error"]["message"]


def test_a_bundle_is_never_written_over(fake):
    fake.run()
    before = (fake.out / "bundle.zip").read_bytes()
    code, document = fake.run()
    assert (code, document["error"]["type"]) == (2, "BundleExistsError")
    assert (fake.out / "bundle.zip").read_bytes() == before


@pytest.mark.parametrize("arguments", [["--only", "dance"], ["--families", "qwen2"]])
def test_names_that_the_contract_does_not_have_are_refused(fake, arguments):
    code, document = fake.run(*arguments)
    assert (code, document["error"]["type"]) == (2, "OptionError")
    assert repr(arguments[1]) in document["error"]["message"]
