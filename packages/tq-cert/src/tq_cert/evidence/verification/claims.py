"""Whether the statement claims what the bundle comes to, and is signed by whom it says."""

from collections.abc import Iterator

from tq_cert.evidence.dsse import keyid_of
from tq_cert.evidence.paths import STATEMENT
from tq_cert.evidence.signing import is_signature
from tq_cert.evidence.statement import Statement
from tq_cert.evidence.verification import faults
from tq_cert.evidence.verification.faults import Fault
from tq_cert.evidence.verification.parts import Claim


def wrong_claims(claimed: Statement, derived: Statement) -> Iterator[Fault]:
    """Every field of the statement that is not what the bundle's other files come to."""
    theirs, ours = claimed.predicate, derived.predicate
    if claimed.subject != derived.subject:
        stated = ", ".join(f"{one.name} {one.digest.sha256}" for one in claimed.subject)
        yield faults.WRONG_SUBJECT.of(STATEMENT, f"is about {stated}, not about what the manifest names")
    if theirs.chain_sha256 != ours.chain_sha256:
        yield faults.WRONG_CHAIN_HEAD.of(
            STATEMENT, f"ends the chain with {theirs.chain_sha256}, not {ours.chain_sha256}"
        )
    if theirs.policy != ours.policy:
        stated, due = (f"{policy.edition} of SHA-256 {policy.sha256}" for policy in (theirs.policy, ours.policy))
        yield faults.WRONG_POLICY.of(STATEMENT, f"claims the policy {stated}, not {due}")
    if theirs.verdict != ours.verdict:
        yield faults.WRONG_VERDICT.of(STATEMENT, f"claims {theirs.verdict}; the measurements come to {ours.verdict}")
    if theirs.stages != ours.stages:
        claims = {claim.stage: claim.outcome for claim in theirs.stages}
        for due in ours.stages:
            if (stated := claims.pop(due.stage, "nothing")) != due.outcome:
                yield faults.WRONG_OUTCOME.of(
                    STATEMENT, f"claims {stated} of {due.stage}, which comes to {due.outcome}"
                )
        if claims or len(theirs.stages) != len(ours.stages):
            yield faults.WRONG_OUTCOME.of(
                STATEMENT, "claims stages that the policy does not have, or one of them twice"
            )
        elif set(theirs.stages) == set(ours.stages):
            yield faults.WRONG_OUTCOME.of(STATEMENT, "claims the stages in another order than the policy's")


def wrong_signatures(claim: Claim, key: bytes | None) -> Iterator[Fault]:
    """A signature that is not the claimed signer's, or a signer that is not the wanted one.

    Args:
        claim: the envelope and its statement.
        key: 32 bytes of the public key that has to have signed; None for any, or for none.

    Raises:
        MissingDependencyError: there is a signature, and `cryptography` is not installed.
    """
    signer, signatures = claim.statement.predicate.signer, claim.envelope.signatures
    if signer is None:
        if signatures:
            yield faults.WRONG_SIGNATURE.of(STATEMENT, "has a signature, but names no signer")
        elif key is not None:
            yield faults.UNSIGNED.of(STATEMENT, "is not signed")
        return
    if len(signatures) != 1 or not is_signature(signatures[0], claim.payload, signer):
        yield faults.WRONG_SIGNATURE.of(STATEMENT, f"does not have one valid signature by the key {signer.keyid}")
    if key is not None and signer.keyid != keyid_of(key):
        yield faults.OTHER_SIGNER.of(STATEMENT, f"is signed by the key {signer.keyid}, not by {keyid_of(key)}")
