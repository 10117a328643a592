"""The evidence rule: nobody claims an Apple result without naming the bundle that shows it.

Whether a bundle shows it is for its verifier to say. That is a program of its own, tq-cert, which this package neither
contains nor imports; where a document names a bundle, it has to be installed beside it.
"""

import re
import subprocess
import sysconfig
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path

from tq_contract.checks.checkout import Checkout
from tq_contract.checks.finding import Finding
from tq_contract.prose import sentences

FOLDER = "evidence"
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")

_APPLE = re.compile(r"\b(apple|macos|metal|macs?|m[1-9]\d?( (pro|max|ultra))?)\b", re.IGNORECASE)
_RESULT = re.compile(
    r"\bPASS(ED)?\b|\b(passes|passed|proven|verified)\b"
    r"|\b(is|are|was|were|been|fully|now) (\w+ )?certified\b|\bcertified (on|for|by)\b|^[^.]*\|\s*pass(ed)?\s*\|",
    re.IGNORECASE,
)
_NO_CLAIM = re.compile(
    r"\b(not?|never|nothing|none|neither|nor|cannot|without|until|unless|whether|if|would|must)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[;:\u2013\u2014]")  # and dashes


def evidence(checkout: Checkout) -> Iterator[Finding]:
    """Every sentence of a document that claims an Apple result names the SHA-256 of a passed bundle in `evidence`."""
    known = {digest: name for name, digest in _bundles(checkout.root / FOLDER)}
    for file, text in checkout.documents.items():
        for sentence in sentences(text):
            if not claims_a_result(sentence.text):
                continue
            named = DIGEST.findall(sentence.text)
            if not named:
                message = f"claims an Apple result without evidence: {sentence.text[:80]!r}"
                remedy = f"Name the SHA-256 of the bundle in {FOLDER}/ in the same sentence, or remove the claim."
                yield Finding(file, sentence.line, message, remedy)
            for digest in named:
                if digest not in known:
                    message = f"names a bundle of SHA-256 {digest[:12]}…, which no file in {FOLDER}/ has"
                    yield Finding(file, sentence.line, message, "Add the bundle, or correct the digest.")
                elif reason := reason_not_to_pass(checkout.root / FOLDER / known[digest]):
                    message = f"names the bundle {known[digest]}, which shows no passed certification: {reason}"
                    yield Finding(file, sentence.line, message, "Name a bundle that passes, or remove the claim.")


def claims_a_result(sentence: str) -> bool:
    """Say whether a sentence speaks of Apple and of a result that nothing before it in its clause denies."""
    if not _APPLE.search(sentence):
        return False
    clauses = (_CLAUSE.split(sentence[: result.start()])[-1] for result in _RESULT.finditer(sentence))
    return any(not _NO_CLAIM.search(clause) for clause in clauses)


def reason_not_to_pass(bundle: Path) -> str | None:
    """Return why the verifier does not pass the bundle, or None if it does."""
    verifier = Path(sysconfig.get_path("scripts")) / "tq-cert"
    if not verifier.exists():
        return "tq-cert is not installed, which would verify it"
    command = [verifier, "verify", "--require", "passed", bundle]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own program)
    return None if ran.returncode == 0 else " ".join((ran.stdout + ran.stderr).split())[:300]


def _bundles(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.zip")):
        with path.open("rb") as file:
            yield path.name, file_digest(file, "sha256").hexdigest()
