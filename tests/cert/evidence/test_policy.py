"""The frozen edition of the policy: what it holds is what the contract says, and its digest is stated."""

import hashlib
from importlib.resources import files

import pytest

import evidence_bundle as eb
import tq_contract
from tq_cert.evidence.canonical import encode
from tq_cert.evidence.metrics import MEASURES
from tq_cert.evidence.paths import DIGESTS, LOG, MANIFEST, STATEMENT
from tq_cert.evidence.policy import load
from tq_cert.evidence.policy.freeze import current_edition
from tq_cert.evidence.policy.load import CURRENT, DamagedEditionError, known_editions, load_edition

FOLDER = files("tq_cert.evidence.policy")
AGAIN = "run `python -m tq_cert.evidence.policy.freeze`"


def test_the_current_edition_is_what_follows_from_the_contract():
    assert FOLDER.joinpath(f"{CURRENT}.json").read_bytes() == encode(current_edition()), AGAIN


def test_every_edition_has_the_digest_that_is_stated_and_every_file_is_an_edition():
    stated = {
        f"{name}.json": hashlib.sha256(FOLDER.joinpath(f"{name}.json").read_bytes()).hexdigest()
        for name in known_editions()
    }
    assert {f"{name}.json": digest for name, digest in known_editions().items()} == stated, AGAIN
    assert {file.name for file in FOLDER.iterdir() if file.name.endswith(".json")} == stated.keys()


def test_every_threshold_of_the_contract_is_a_gate():
    thresholds = {
        (stage.name, one.metric, one.families, one.preset, one.bound, one.value)
        for stage in tq_contract.load().certification.stages
        for one in stage.thresholds
    }
    gates = {
        (stage.name, gate.metric, gate.families, gate.preset, gate.bound, gate.value)
        for stage in load_edition(CURRENT).stages
        for gate in stage.gates
    }
    assert gates == thresholds


def test_a_bundle_holds_what_the_contract_says():
    certification = tq_contract.load().certification
    assert set(certification.bundle) == {MANIFEST, STATEMENT, LOG, DIGESTS}
    asked = {path for stage in certification.stages for path in stage.artifacts}
    assert eb.bundle().keys() == asked | set(certification.bundle)


def test_ratios_and_only_they_have_a_baseline():
    assert len({measure.metric for measure in MEASURES}) == len(MEASURES)
    for measure in MEASURES:
        assert ("ratio" in measure.how) == (measure.baseline is not None), measure


def test_a_changed_edition_is_not_used(monkeypatch):
    load_edition.cache_clear()
    monkeypatch.setattr(load, "known_editions", lambda: {CURRENT: "0" * 64})
    with pytest.raises(DamagedEditionError, match=CURRENT):
        load_edition(CURRENT)
    load_edition.cache_clear()


def test_a_metric_that_cannot_be_computed_freezes_nothing(monkeypatch):
    monkeypatch.setattr("tq_cert.evidence.policy.freeze.MEASURES", MEASURES[1:])
    with pytest.raises(LookupError, match=MEASURES[0].metric):
        current_edition()
