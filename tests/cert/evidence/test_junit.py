"""The XML of a stage, read by a parser: counts agree with what is in it, whatever the messages hold."""

from xml.etree import ElementTree

import msgspec
import pytest

import evidence_bundle as eb
from tq_cert.evidence import Case, derive_stage
from tq_cert.evidence.junit import junit

replace = msgspec.structs.replace


def xml_of(stage, **changes):
    runs = [replace(run, **changes) if run.stage == stage else run for run in eb.runs()]
    record = next(one for one in eb.chained(eb.APPLE, runs) if one.stage == stage)
    outcome = derive_stage(eb.EDITION.stage(stage), record, ("llama", "gemma"), eb.EDITION)
    return ElementTree.fromstring(junit(record, outcome)), outcome


@pytest.mark.parametrize("stage", [stage.name for stage in eb.EDITION.stages])
def test_cases_and_gates_are_tests(stage):
    suite, outcome = xml_of(stage)
    assert suite.attrib["failures"] == suite.attrib["errors"] == "0"
    assert suite.attrib["skipped"] == "1"
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase")) == 3 + len(outcome.gates)
    assert len({(test.attrib["classname"], test.attrib["name"]) for test in suite}) == len(suite)


def test_what_failed_says_why_and_is_counted():
    cases = (
        Case('a <b> & "c"', "failed", 0.25, "line\nbell\x07 \U0001f600"),
        Case("d", "error", 0.5, "no such file"),
        Case("e", "passed", 0.25, None),
    )
    suite, outcome = xml_of("kernels", cases=cases, series=())
    assert int(suite.attrib["failures"]) == 1 + len(outcome.gates)
    assert suite.attrib["errors"] == "1"
    assert suite.attrib["time"] == "1.000000"
    failed = next(test for test in suite if test.attrib["name"] == cases[0].name)
    assert failed.find("failure").attrib["message"] == "line\nbell\ufffd \U0001f600"


def test_a_stage_that_failed_by_itself_is_an_error():
    suite, _ = xml_of("memory", status="failed", reason="took longer than 600 s", cases=(), series=())
    assert (suite.attrib["tests"], suite.attrib["errors"]) == ("1", "1")
    assert suite.find("testcase/error").attrib["message"] == "took longer than 600 s"
