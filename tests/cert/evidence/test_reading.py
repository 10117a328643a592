"""Bytes that nobody vouches for: read as exactly the record that they say, or refused with a reason."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evidence_bundle as eb
from tq_cert.evidence import Manifest, StageRecord
from tq_cert.evidence.canonical import encode
from tq_cert.evidence.reading import NotARecordError, decode

RECORD = encode(eb.chained(eb.APPLE, eb.runs()[:1])[0])


def refused(content, kind=StageRecord):
    with pytest.raises(NotARecordError) as refusal:
        decode(content, kind)
    assert refusal.value.problems
    return refusal.value


@settings(max_examples=200)
@given(start=st.integers(0, len(RECORD)), length=st.integers(0, 8), new=st.binary(max_size=8))
def test_no_bytes_are_passed_over(start, length, new):
    content = RECORD[:start] + new + RECORD[start + length :]
    try:
        record = decode(content, StageRecord)
    except NotARecordError:
        return
    assert encode(record) == content


@pytest.mark.parametrize(
    ("old", "new", "at_fault"),
    [
        (b'"stage": "preflight"', b'"stage": "preflight",\n  "stage": "preflight"', "text"),
        (b": 0.0", b": NaN", "text"),
        (b": 0.0", b": 1e999", "text"),
        (b": 0.0", b": " + b"9" * 5000, "text"),
        (b"it runs", b"it \\ud800 runs", "text"),
        (b"it runs", b"it \xff runs", "text"),
        (b": 0.0", b": 1e30", "shape"),
        (b": 0.0", b": true", "shape"),
        (b": 0.0", b': "0.0"', "shape"),
        (b'"preflight"', b'"preflight\\n"', "shape"),
        (b'"preflight"', b'"Preflight"', "shape"),
        (b"it runs", b"", "shape"),
        (b"+00:00", b"+01:00", "shape"),
        (b": 0.0", b": 0", "form"),
        (b": 0.0", b": -0", "form"),
        (b": 0.0", b": 0.00", "form"),
        (b"it runs", b"it \\u0072uns", "form"),
        (b'"stage": ', b'"stage":  ', "form"),
    ],
)
def test_each_laxness_of_json_readers_is_refused(old, new, at_fault):
    assert old in RECORD
    assert refused(RECORD.replace(old, new, 1)).at_fault == at_fault


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"7", b"[" * 100_000, b"{}", RECORD + RECORD, RECORD[:-1]])
def test_what_is_no_record_is_refused(content):
    refused(content)


def test_every_problem_is_reported_with_its_place():
    document = msgspec.json.decode(encode(eb.manifest()))
    del document["release"]
    document["environment"]["backend"] = "vulkan"
    document["wheels"][1]["sha256"] = "0" * 63
    problems = refused(msgspec.json.encode(document), Manifest).problems
    assert {problem.place for problem in problems} == {"/release", "/environment/backend", "/wheels/1/sha256"}


def test_the_schema_version_of_an_unreadable_record_is_known():
    assert refused(RECORD.replace(b'"schema_version": 1', b'"schema_version": 7')).version == 7
    assert refused(RECORD.replace(b'"schema_version": 1', b'"schema_version": true')).version is None
