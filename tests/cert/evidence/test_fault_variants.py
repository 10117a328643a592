"""Other ways to the same faults: each check has more than one thing to find."""

import msgspec
import pytest

import broken_bundles as bb
import evidence_bundle as eb
from tq_cert.evidence.canonical import encode, sha256
from tq_cert.evidence.dsse import DsseEnvelope, to_base64
from tq_cert.evidence.paths import STATEMENT
from tq_cert.evidence.signing import Signer
from tq_cert.evidence.verification.faults import RejectedError
from tq_cert.evidence.verification.verify import verify_files

replace = msgspec.structs.replace
VALID = eb.manifest()
WHEEL = VALID.wheels[0]


def faults_of(files, key=None):
    try:
        found = verify_files(files, "bundle", key).faults
    except RejectedError as rejected:
        found = rejected.faults
    return {(fault.code, fault.file) for fault in found}


def with_manifest(**changes):
    return eb.bundle(eb.manifest(**changes))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"wheels": (*VALID.wheels, replace(WHEEL, distribution="tq-extra"))}, "wrong_wheel"),
        ({"wheels": (replace(WHEEL, file="tq_core-0.1.0-py3-none-any.whl"), *VALID.wheels[1:])}, "wrong_wheel"),
        ({"models": VALID.models[1:]}, "wrong_model"),
        ({"models": (*VALID.models, VALID.models[0])}, "wrong_model"),
        ({"families": (*VALID.families, "llama")}, "unknown_family"),
        ({"created": eb.time(999)}, "wrong_clock"),
        ({"sealed": eb.time(60)}, "wrong_clock"),
        ({"refusals": eb.manifest(eb.LINUX).refusals}, "wrong_refusals"),
    ],
)
def test_facts_that_cannot_be_so(changes, code):
    assert (code, "manifest.json") in faults_of(with_manifest(**changes))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": "failed"}, "contradictory_status"),
        ({"status": "not_run"}, "contradictory_status"),
        ({"status": "not_run", "reason": "--only"}, "contradictory_status"),
        ({"status": "failed", "reason": "no GPU", "needs": "metal"}, "contradictory_status"),
        ({"cases": (eb.Case("a", "failed", 1.0, None),)}, "contradictory_case"),
        ({"cases": (eb.Case("a", "passed", -1.0, None),)}, "contradictory_case"),
        ({"started": eb.time(5)}, "wrong_clock"),
    ],
)
def test_records_that_contradict_themselves(changes, code):
    broken = bb.with_run("memory", **changes)
    assert faults_of(broken.content) == {(code, broken.file)}


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ("gemma_smoke", {"family": "llama"}),
        ("gemma_smoke", {"family": None}),
        ("kernels", {"family": "llama"}),
        ("preflight", {"preset": "lloyd_k4v4"}),
    ],
)
def test_series_of_what_the_stage_does_not_run(stage, changes):
    series = bb.series_of(stage)
    broken = bb.with_run(stage, series=(*series, replace(series[0], **changes)))
    assert faults_of(broken.content) == {("foreign_series", broken.file)}


def test_series_of_a_family_out_of_scope():
    files = eb.bundle(eb.manifest(families=("llama",), models=VALID.models[:1]))
    assert ("foreign_series", "stages/polarquant.json") in faults_of(files)


@pytest.mark.parametrize(
    "change",
    [
        lambda claims: claims[:-1],
        lambda claims: (*claims, claims[0]),
        lambda claims: claims[::-1],
        lambda claims: (*claims, replace(claims[0], stage="warm_up")),
    ],
)
def test_outcomes_claimed_otherwise(change):
    files = eb.bundle()
    claims = change(eb.statement(files).predicate.stages)
    assert faults_of(eb.resealed(files, stages=claims)) == {("wrong_outcome", STATEMENT)}


@pytest.mark.parametrize("seal", ["digests_sha256", "manifest_sha256"])
def test_the_statement_is_named_where_it_alone_disagrees(seal):
    files = eb.bundle()
    assert faults_of(eb.resealed(files, **{seal: "0" * 64})) == {("wrong_seal", STATEMENT)}


def test_the_listing_is_named_where_it_alone_disagrees():
    files = eb.bundle()
    digest = sha256(files["stages/memory.json"]).encode()
    files["digests.json"] = files["digests.json"].replace(digest, b"0" * 64)
    found = faults_of(files)
    assert ("wrong_seal", "digests.json") in found
    assert ("wrong_digest", "stages/memory.json") in found


def test_a_file_beside_the_listed_ones():
    assert faults_of({**eb.bundle(), "notes.txt": b""}) == {("extra_file", "notes.txt")}


@pytest.mark.parametrize("path", ["manifest.json", "digests.json", "statement.json", "stages.jsonl"])
def test_each_of_the_bundles_own_files_has_to_be_there(path):
    files = eb.bundle()
    del files[path]
    assert ("missing_file", path) in faults_of(files)
    if path in ("manifest.json", "stages.jsonl"):
        assert faults_of(eb.resealed({"manifest.json": b"{}", **files})) != set()


def test_a_log_that_names_a_record_elsewhere():
    files = bb.relinked(lambda links: [replace(links[0], path="stages/memory.json"), *links[1:]])
    assert faults_of(files) == {("wrong_link", "stages.jsonl")}


def test_a_log_whose_lines_do_not_follow_one_another():
    files = bb.relinked(lambda links: [*links[:2], replace(links[2], previous="0" * 64), *links[3:]])
    assert faults_of(files) == {("broken_chain", "stages.jsonl")}


def test_an_artifact_that_no_stage_may_leave():
    def rename(record):
        record["artifacts"][0]["path"] = "stages/memory.md"

    files = bb.edited("stages/dense_vs_tq.json", rename)
    assert ("wrong_link", "stages/dense_vs_tq.json") in faults_of(files)


def test_no_signature_by_a_claimed_signer_and_a_signature_by_nobody():
    signed, unsigned = eb.bundle(signer=Signer(bb.KEY)), eb.bundle()
    without = eb.with_statement(signed, eb.statement(signed))
    assert faults_of(without) == {("wrong_signature", STATEMENT)}
    payload = encode(eb.statement(unsigned))
    envelope = DsseEnvelope(to_base64(payload), bb.PAYLOAD_TYPE, (Signer(bb.KEY).sign(payload),))
    assert faults_of({**unsigned, STATEMENT: encode(envelope)}) == {("wrong_signature", STATEMENT)}


def test_a_public_key_that_is_none():
    signer = Signer(bb.KEY)
    files = eb.bundle(signer=signer)
    predicate = replace(eb.statement(files).predicate, signer=replace(signer.claim, public_key="AAAA"))
    payload = encode(replace(eb.statement(files), predicate=predicate))
    envelope = DsseEnvelope(to_base64(payload), bb.PAYLOAD_TYPE, (signer.sign(payload),))
    assert faults_of({**files, STATEMENT: encode(envelope)}) == {("wrong_signature", STATEMENT)}


def test_a_run_without_wheels_is_about_its_sources():
    files = eb.bundle(eb.manifest(eb.LINUX, wheels=()))
    (subject,) = eb.statement(files).subject
    assert (subject.name, subject.digest.sha256) == ("sources", eb.LINUX.sources_sha256)
    assert faults_of(files) == set()
