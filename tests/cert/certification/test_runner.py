"""One process of a stage: stopped at its limit, killed, gone wrong; started twice; and when its starter dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from fake_run import LINUX, write_results

from tq_cert.certification.plan import Plan
from tq_cert.certification.runner import RunInUseError, hand_over, in_use, run_stages
from tq_cert.certification.stage_process import StageJob
from tq_cert.certification.table import Silent
from tq_cert.evidence import utc_now
from tq_cert.inspection.scope import ModelSource
from tq_cert.stages.sizes import Sizes

QUICK = Path(__file__).with_name("quick_stage.py")


@pytest.fixture
def plan():
    return Plan(utc_now(), "0" * 64, None, None, (), ("llama",), (), (), Sizes(), LINUX)


def run_one(tmp_path, plan, program, limit=60.0):
    (record,) = run_stages(tmp_path, plan, {"memory": limit}, Silent(), program)
    assert record.status == "failed"
    return record.reason


def test_a_stage_that_takes_too_long_is_stopped(tmp_path, plan):
    program = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")
    began = time.monotonic()
    assert run_one(tmp_path, plan, program, limit=0.5) == "it was stopped after its limit of 0.5 seconds"
    assert time.monotonic() - began < 30


def test_a_stage_that_reads_no_job_is_stopped_too(tmp_path, plan):
    job = (ModelSource("llama", "x" * 2**20, None, None),)  # more than a pipe holds
    program = (sys.executable, "-I", "-S", "-c", "import os, time; os.close(0); time.sleep(60)")
    reason = run_one(tmp_path, msgspec.structs.replace(plan, sources=job), program, limit=0.5)
    assert reason == "it was stopped after its limit of 0.5 seconds"


def test_a_job_for_a_process_that_is_gone_goes_nowhere(tmp_path):
    program = (sys.executable, "-I", "-S", "-c", "")
    with subprocess.Popen(program, stdin=subprocess.PIPE) as process:
        process.wait()
        hand_over(process, StageJob("memory", (), Sizes(), str(tmp_path)))
    assert process.returncode == 0


def test_a_stage_that_dies_leaves_the_reason(tmp_path, plan):
    program = (sys.executable, "-I", "-S", "-c", "import sys; sys.exit('out of luck')")
    assert run_one(tmp_path, plan, program) == "its process ended with exit code 1: out of luck"


def test_a_stage_that_is_killed_says_by_what(tmp_path, plan):
    program = (sys.executable, "-I", "-S", "-c", "import os; os.kill(os.getpid(), 9)")
    assert run_one(tmp_path, plan, program) == "its process was killed by signal 9: it said nothing"


def test_a_stage_that_hands_over_nothing_failed(tmp_path, plan):
    program = (sys.executable, "-I", "-S", "-c", "")
    assert run_one(tmp_path, plan, program).startswith("its process ended with exit code 0")


def test_a_stage_that_hands_over_what_is_no_result_failed(tmp_path, plan):
    write = """
import json, pathlib, sys
job = json.loads(sys.stdin.readline())
pathlib.Path(job["folder"], "result.json").write_text("null")
"""
    program = (sys.executable, "-I", "-S", "-c", write)
    assert run_one(tmp_path, plan, program).startswith("its process left what is no result: ")


def test_a_stage_that_is_recorded_is_not_run_again(tmp_path, plan):
    results = tmp_path / "results"
    results.mkdir()
    write_results(results, "linux")
    program = (sys.executable, "-I", "-S", str(QUICK), str(results), "0")
    for _ in range(2):
        records = run_stages(tmp_path, plan, {"memory": 60.0, "persistence": 60.0}, Silent(), program)
        assert [record.stage for record in records] == ["memory", "persistence"]
    assert (results / "started.log").read_text().splitlines() == ["memory", "persistence"]


def test_two_processes_do_not_run_stages_in_one_directory(tmp_path):
    with in_use(tmp_path), pytest.raises(RunInUseError), in_use(tmp_path):
        pass


def test_a_stage_goes_when_whoever_started_it_is_killed(tmp_path):
    """The real process of a stage, which waits for a job that the real one would do."""
    watch = (
        "import sys, time, threading, os\n"
        "from tq_cert.certification.stage_process import leave_with_parent\n"
        "threading.Thread(target=leave_with_parent, daemon=True).start()\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    start = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {watch!r}], stdin=subprocess.PIPE, start_new_session=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.1)
    raise AssertionError("the stage's process lives on")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
