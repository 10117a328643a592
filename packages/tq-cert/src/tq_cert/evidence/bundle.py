"""A finished run to a sealed bundle: the records, their XML, the manifest, the listing and the statement.

manifest.json     what was certified, on what
stages.jsonl      the chain
stages/           a record and its XML for every stage, and the stages' other files
digests.json      size and SHA-256 of all of these
statement.json    the claim, sealing the manifest and the listing
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from tq_cert.errors import FileAccessError
from tq_cert.evidence.canonical import digest_of, encode
from tq_cert.evidence.dsse import PAYLOAD_TYPE, DsseEnvelope, to_base64
from tq_cert.evidence.errors import BundleExistsError, DamagedRunError, UnsealableRunError
from tq_cert.evidence.junit import junit
from tq_cert.evidence.listing import listing_of
from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.paths import DIGESTS, LOG, MANIFEST, STATEMENT, junit_path, record_path
from tq_cert.evidence.policy.load import known_editions, load_edition
from tq_cert.evidence.run_directory import read_stages
from tq_cert.evidence.signing import Signer
from tq_cert.evidence.stage_record import StageRecord
from tq_cert.evidence.statement import PolicyClaim, statement_of
from tq_cert.evidence.verdict import Verdict, derive
from tq_cert.evidence.verification.faults import RejectedError
from tq_cert.evidence.verification.verify import verify_files
from tq_cert.files import write_whole


def seal(run: Path, manifest: Manifest, bundle: Path, signer: Signer | None = None) -> Verdict:
    """Make a bundle of a run's directory, whole or not at all.

    Args:
        run: the directory that the stages were appended to; left as it is.
        manifest: with the environment that they were appended with.
        bundle: the directory to make.
        signer: who signs it, or None.

    Returns:
        The verdict, which the statement claims and the verifier derives again.

    Raises:
        BundleExistsError: there is something at `bundle`.
        DamagedRunError: a file of the run was changed.
        UnsealableRunError: the bundle would not verify.
        FileAccessError: a file cannot be read or written.
    """
    if bundle.exists():
        raise BundleExistsError(str(bundle))
    records = read_stages(run, manifest.environment)
    files, verdict = sealed_files(_contents(run, records), manifest, records, signer)
    _must_verify(files, str(run))
    partial = bundle.with_name(f".{bundle.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for path, content in files.items():
            write_whole(partial / path, content)
        partial.replace(bundle)
    except OSError as error:
        raise FileAccessError(str(bundle), error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return verdict


def sealed_files(
    contents: Mapping[str, bytes], manifest: Manifest, records: tuple[StageRecord, ...], signer: Signer | None
) -> tuple[dict[str, bytes], Verdict]:
    """All files of a bundle by path, the statement last, and its verdict."""
    edition = load_edition(manifest.policy)
    verdict = derive(manifest, records, edition)
    outcomes = {outcome.stage: outcome for outcome in verdict.stages}
    reports = {junit_path(one.stage): junit(one, outcomes[one.stage]) for one in records}
    files = {**contents, **reports, MANIFEST: encode(manifest)}
    listing = listing_of(files)
    head = digest_of(records[-1] if records else manifest.environment)
    policy = PolicyClaim(manifest.policy, known_editions()[manifest.policy])
    claim = signer.claim if signer else None
    payload = encode(statement_of(manifest, listing, head, policy, verdict, claim))
    signatures = (signer.sign(payload),) if signer else ()
    envelope = DsseEnvelope(to_base64(payload), PAYLOAD_TYPE, signatures)
    return {**files, DIGESTS: encode(listing), STATEMENT: encode(envelope)}, verdict


def _must_verify(files: Mapping[str, bytes], run: str) -> None:
    """A bundle is looked at as others will look at it before it is made."""
    try:
        found = verify_files(files, run).faults
    except RejectedError as rejected:
        found = rejected.faults
    if found:
        raise UnsealableRunError(run, [str(fault) for fault in found])


def _contents(run: Path, records: tuple[StageRecord, ...]) -> dict[str, bytes]:
    """The run's files as the records name them; anything else in its directory stays behind."""
    artifacts = (artifact.path for record in records for artifact in record.artifacts)
    paths = (LOG, *(record_path(record.stage) for record in records), *artifacts)
    try:
        return {path: (run / path).read_bytes() for path in paths}
    except FileNotFoundError as error:
        raise DamagedRunError(str(error.filename), "is missing") from error
    except OSError as error:
        raise FileAccessError(str(run), error) from error
