"""The evidence rule: which sentences claim an Apple result, and what backs one."""

import hashlib

import pytest

from tq_contract.checks.evidence import claims_a_result


@pytest.mark.parametrize(
    "sentence",
    [
        "All presets passed on Apple Silicon.",
        "Llama is certified on macOS.",
        "The M3 Max run passed with no failures.",
        "| Gemma 3 | Metal | PASS |",
        "Apple runtime status: PASS.",
        "Not only Linux: it is fully certified on Apple Silicon.",
        "Verified on a Mac.",
        "Metal kernels are proven.",
    ],
)
def test_a_claim(sentence):
    assert claims_a_result(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Nothing here has been certified on Apple hardware yet.",
        "No result on Linux is an Apple result.",
        "A rehearsal never counts as PASS on Apple Silicon.",
        "All tests passed on Linux.",
        "Install it on a Mac with Apple Silicon.",
        "Without a bundle, no document may say that a Mac passed.",
        "| Darwin | arm64 | metal | certified |",
    ],
)
def test_no_claim(sentence):
    assert not claims_a_result(sentence)


def test_a_claim_is_backed_by_the_digest_of_a_bundle_and_of_no_other(tree, monkeypatch):
    monkeypatch.setattr("tq_contract.checks.evidence.reason_not_to_pass", lambda bundle: None)
    bundle = "bytes of a bundle"
    tree.write("evidence/m3.zip", bundle)
    digest = hashlib.sha256(bundle.encode()).hexdigest()
    tree.append("README.md", f"\nAll presets passed on an M3 Max (bundle {digest}).\n")
    assert not [finding for finding in tree.find("evidence") if finding.file == "README.md"]
    tree.write("evidence/m3.zip", bundle + ".")
    (finding,) = (finding for finding in tree.find("evidence") if finding.file == "README.md")
    assert f"SHA-256 {digest[:12]}…, which no file in evidence/ has" in finding.message


def test_a_claim_is_not_backed_by_a_file_that_the_verifier_does_not_pass(tree):
    tree.write("evidence/m3.zip", "no bundle at all")
    digest = hashlib.sha256(b"no bundle at all").hexdigest()
    tree.append("README.md", f"\nAll presets passed on an M3 Max (bundle {digest}).\n")
    (finding,) = (finding for finding in tree.find("evidence") if finding.file == "README.md")
    assert "names the bundle m3.zip, which shows no passed certification: " in finding.message
