"""What a bundle claims about which wheels, as an in-toto statement.

Its subject is the wheels. Its predicate seals the other files by digest and states the verdict, which the verifier
derives again. It lies in statement.json, in an envelope (`dsse.py`).
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from tq_cert.evidence.canonical import digest_of
from tq_cert.evidence.fields import EvidenceRecord, Name, SchemaVersion, Sha256, Text
from tq_cert.evidence.listing import Listing
from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.verdict import Outcome, Verdict, VerdictName

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:turboquant-mlx:certification:1"


class DigestSet(EvidenceRecord, frozen=True):
    """Digests of one subject."""

    sha256: Sha256


class Subject(EvidenceRecord, frozen=True):
    """What the statement is about: a wheel, or the installed sources where there are no wheels."""

    name: Text
    digest: DigestSet


class PolicyClaim(EvidenceRecord, frozen=True):
    """The edition of the policy that the verdict was derived by."""

    edition: Text
    sha256: Sha256


class StageClaim(EvidenceRecord, frozen=True):
    """What is claimed of one stage."""

    stage: Name
    outcome: Outcome


class SignerClaim(EvidenceRecord, frozen=True):
    """Whose signature the envelope carries.

    Attributes:
        keyid: SHA-256 of the public key.
        public_key: 32 bytes of an ed25519 key, in base64.
    """

    keyid: Sha256
    public_key: Text


class Predicate(EvidenceRecord, frozen=True):
    """What is claimed, and the digests that hold everything together.

    Attributes:
        schema_version: of this record.
        manifest_sha256: of manifest.json.
        digests_sha256: of digests.json, which lists every other file.
        chain_sha256: of the last record; of the environment where there is none.
        policy: by which the verdict was derived.
        verdict: of the run.
        stages: their outcomes, in the policy's order.
        signer: of the envelope, or None.
    """

    schema_version: SchemaVersion
    manifest_sha256: Sha256
    digests_sha256: Sha256
    chain_sha256: Sha256
    policy: PolicyClaim
    verdict: VerdictName
    stages: tuple[StageClaim, ...]
    signer: SignerClaim | None


class Statement(EvidenceRecord, frozen=True):
    """An in-toto Statement, version 1."""

    type: Literal["https://in-toto.io/Statement/v1"] = field(name="_type")
    subject: Annotated[tuple[Subject, ...], Meta(min_length=1)]
    predicate_type: Literal["urn:turboquant-mlx:certification:1"] = field(name="predicateType")
    predicate: Predicate


def subjects(manifest: Manifest) -> tuple[Subject, ...]:
    """The wheels, by file name; the installed sources where nothing was installed from a wheel."""
    if not manifest.wheels:
        return (Subject("sources", DigestSet(manifest.environment.sources_sha256)),)
    wheels = sorted(manifest.wheels, key=lambda wheel: wheel.file)
    return tuple(Subject(wheel.file, DigestSet(wheel.sha256)) for wheel in wheels)


def statement_of(
    manifest: Manifest,
    listing: Listing,
    chain_sha256: str,
    policy: PolicyClaim,
    verdict: Verdict,
    signer: SignerClaim | None,
) -> Statement:
    """The statement that these parts come to: the same for whoever seals a bundle and whoever verifies it."""
    predicate = Predicate(
        schema_version=1,
        manifest_sha256=digest_of(manifest),
        digests_sha256=digest_of(listing),
        chain_sha256=chain_sha256,
        policy=policy,
        verdict=verdict.name,
        stages=tuple(StageClaim(stage.stage, stage.outcome) for stage in verdict.stages),
        signer=signer,
    )
    return Statement(STATEMENT_TYPE, subjects(manifest), PREDICATE_TYPE, predicate)
