"""A stage's cases and gates as JUnit XML, for the tools that show test results.

It is made from the record, and the verifier makes it again to compare: its form belongs to the schema version.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple
from xml.etree import ElementTree as Xml

from tq_cert.evidence.gates import GateResult
from tq_cert.evidence.stage_record import StageRecord
from tq_cert.evidence.verdict import StageOutcome

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Test(NamedTuple):
    suite: str
    name: str
    seconds: float
    flaw: Literal["failure", "error", "skipped"] | None
    message: str


def junit(record: StageRecord, outcome: StageOutcome) -> bytes:
    """The XML of one stage: its status, its cases and its gates as tests."""
    tests = [_status(record), *_cases(record), *(_gate(record.stage, gate) for gate in outcome.gates)]
    suite = Xml.Element(
        "testsuite",
        name=record.stage,
        tests=str(len(tests)),
        failures=_count(tests, "failure"),
        errors=_count(tests, "error"),
        skipped=_count(tests, "skipped"),
        time=f"{sum(test.seconds for test in tests):.6f}",
        timestamp=record.started,
    )
    for test in tests:
        element = Xml.SubElement(
            suite, "testcase", classname=test.suite, name=_text(test.name), time=f"{test.seconds:.6f}"
        )
        if test.flaw:
            Xml.SubElement(element, test.flaw, message=_text(test.message))
    Xml.indent(suite)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(suite, encoding="utf-8") + b"\n"


def _status(record: StageRecord) -> _Test:
    flaws: dict[str, Literal["error", "skipped"]] = {"failed": "error", "not_run": "skipped"}
    return _Test(record.stage, "status", 0.0, flaws.get(record.status), record.reason or "")


def _cases(record: StageRecord) -> Iterator[_Test]:
    flaws: dict[str, Literal["failure", "error", "skipped"]] = {
        "failed": "failure",
        "error": "error",
        "skipped": "skipped",
    }
    for case in record.cases:
        yield _Test(f"{record.stage}.cases", case.name, case.seconds, flaws.get(case.outcome), case.message or "")


def _gate(stage: str, gate: GateResult) -> _Test:
    name = f"{gate.metric} {gate.wanted}{f' ({gate.whose})' if gate.whose else ''}"
    return _Test(f"{stage}.gates", name, 0.0, None if gate.kept else "failure", gate.problem or "")


def _count(tests: list[_Test], flaw: str) -> str:
    return str(sum(test.flaw == flaw for test in tests))


def _text(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
