"""With the hooks off, the proof of the path fails: every test of it, by name, for the reason that it names."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

PROOF = Path(__file__).with_name("test_path_proof.py")

NAMES = {
    "test_every_layer_of_llama_reads_codes_at_every_step",
    "test_the_global_layers_of_gemma_read_codes_at_every_step",
    "test_what_comes_out_depends_on_the_codes[keys]",
    "test_what_comes_out_depends_on_the_codes[values]",
    "test_mlx_lms_generation_reads_codes",
}


def test_exactly_the_named_tests_fail_and_name_the_hook(tmp_path):
    report = tmp_path / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(PROOF), f"--junitxml={report}"],
        cwd=PROOF.parents[2],
        env=os.environ | {"TURBOQUANT_HOOKS": "off"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    cases = {case.get("name"): case for case in ElementTree.parse(report).iter("testcase")}
    assert set(cases) == NAMES
    for name, case in cases.items():
        (failure,) = case
        assert failure.tag == "failure", name
        assert failure.get("message").startswith("tq_mlx.errors.HookError: mlx-lm's scaled_dot_product_attention"), name
