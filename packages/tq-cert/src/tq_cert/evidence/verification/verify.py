"""Verifies a bundle: every file against its seal, every claim against what the measurements come to.

The steps, each of which finds all its faults; those marked with * leave nothing to go on with:

    container*   plain files of reasonable names and sizes (`contents.py`, `zip_file.py`)
    seals*       statement over listing over files (`seals.py`)
    chain*       the log and the records (`chain.py`)
    facts        the manifest against the edition of the policy (`facts.py`)
    stages       every record with itself and its files (`stages.py`)
    claims       the statement against what is derived, and its signature (`claims.py`)
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from tq_cert.errors import FileAccessError
from tq_cert.evidence.canonical import digest_of, sha256
from tq_cert.evidence.listing import Listing
from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.paths import DIGESTS, LOG, MANIFEST, STATEMENT, junit_path, record_path
from tq_cert.evidence.policy.edition import Edition
from tq_cert.evidence.policy.load import known_editions
from tq_cert.evidence.run_directory import Link
from tq_cert.evidence.stage_record import StageRecord
from tq_cert.evidence.statement import PolicyClaim, Statement, statement_of
from tq_cert.evidence.verdict import Verdict, VerdictName, derive
from tq_cert.evidence.verification import faults, parts
from tq_cert.evidence.verification.chain import broken_links, misplaced_links, wrong_times
from tq_cert.evidence.verification.claims import wrong_claims, wrong_signatures
from tq_cert.evidence.verification.contents import read_contents
from tq_cert.evidence.verification.facts import edition_of, wrong_facts
from tq_cert.evidence.verification.faults import Fault, RejectedError
from tq_cert.evidence.verification.report import Report
from tq_cert.evidence.verification.seals import broken_seals
from tq_cert.evidence.verification.stages import contradictions, wrong_files


def verify(
    bundle: Path,
    *,
    key: bytes | None = None,
    require: VerdictName | None = None,
    wheels: Sequence[Path] = (),
) -> Report:
    """Verify a bundle's directory or zip file; nothing is fetched, run or written.

    Args:
        bundle: where it is.
        key: 32 bytes of the public key that has to have signed it; None for any, or for none.
        require: the verdict that it has to have; None for any.
        wheels: files that it has to be about.

    Raises:
        MissingDependencyError: it is signed, and `cryptography` is not installed.
        DamagedEditionError: this package's own policy was changed.
        FileAccessError: one of `wheels` cannot be read.
    """
    try:
        report = verify_files(read_contents(bundle), str(bundle), key)
    except RejectedError as rejected:
        return Report(str(bundle), None, rejected.faults)
    unmet = (*_other_verdict(report, bundle.name, require), *_uncertified(report, wheels))
    return msgspec.structs.replace(report, faults=(*report.faults, *unmet))


def verify_files(files: Mapping[str, bytes], name: str, key: bytes | None = None) -> Report:
    """Verify a bundle's files by path; see `verify`.

    Raises:
        RejectedError: with faults that leave nothing to derive a verdict from.
    """
    claim = parts.read_claim(files)
    manifest, listing = _sealed(files, claim.statement)
    edition = edition_of(manifest)
    links, records = _chain(files, manifest, edition)
    verdict = derive(manifest, records, edition)
    derived = _derived(manifest, listing, links, verdict, claim.statement)
    found = (
        *wrong_facts(manifest, edition),
        *wrong_times(records, manifest),
        *_stage_faults(files, records, manifest, edition, verdict),
        *_unnamed(files, records),
        *wrong_claims(claim.statement, derived),
        *wrong_signatures(claim, key),
    )
    signer = claim.statement.predicate.signer
    return Report(
        name,
        None if found else verdict,
        found,
        manifest.policy,
        manifest.families,
        {wheel.file: wheel.sha256 for wheel in manifest.wheels},
        signer.keyid if signer else None,
    )


def _sealed(files: Mapping[str, bytes], statement: Statement) -> tuple[Manifest, Listing]:
    """The manifest and the listing, all files being those that were sealed."""
    listing = parts.read_listing(files)
    if MANIFEST not in files:
        faults.reject(parts.missing(MANIFEST))
    if broken := [*broken_seals(files, listing, statement.predicate)]:
        raise RejectedError(broken)
    return parts.read_manifest(files), listing


def _chain(
    files: Mapping[str, bytes], manifest: Manifest, edition: Edition
) -> tuple[tuple[Link, ...], tuple[StageRecord, ...]]:
    """The log and its records, each in its place."""
    links = parts.read_links(files)
    if misplaced := [*misplaced_links(links, edition)]:
        raise RejectedError(misplaced)
    records = tuple(parts.read_stage(files, link.path) for link in links)
    if broken := [*broken_links(files, links, records, manifest)]:
        raise RejectedError(broken)
    return links, records


def _derived(
    manifest: Manifest, listing: Listing, links: Sequence[Link], verdict: Verdict, claimed: Statement
) -> Statement:
    """The statement that should have been made; only who signed it is taken from the one that was."""
    head = links[-1].sha256 if links else digest_of(manifest.environment)
    policy = PolicyClaim(manifest.policy, known_editions()[manifest.policy])
    return statement_of(manifest, listing, head, policy, verdict, claimed.predicate.signer)


def _stage_faults(
    files: Mapping[str, bytes], records: Sequence[StageRecord], manifest: Manifest, edition: Edition, verdict: Verdict
) -> Iterator[Fault]:
    stages = {stage.name: stage for stage in edition.stages}
    outcomes = {outcome.stage: outcome for outcome in verdict.stages}
    for record in records:
        yield from contradictions(record, stages[record.stage], manifest)
        yield from wrong_files(files, record, outcomes[record.stage])


def _unnamed(files: Mapping[str, bytes], records: Sequence[StageRecord]) -> Iterator[Fault]:
    """Files that were sealed but that no record names."""
    named = {MANIFEST, LOG, DIGESTS, STATEMENT}
    for record in records:
        artifacts = (artifact.path for artifact in record.artifacts)
        named |= {record_path(record.stage), junit_path(record.stage), *artifacts}
    for path in sorted(files.keys() - named):
        yield faults.EXTRA_FILE.of(path, "is named by no record")


def _other_verdict(report: Report, name: str, require: VerdictName | None) -> Iterator[Fault]:
    if require is not None and report.verdict is not None and report.verdict.name != require:
        yield faults.OTHER_VERDICT.of(name, f"its verdict is {report.verdict.name}, not {require}")


def _uncertified(report: Report, wheels: Sequence[Path]) -> Iterator[Fault]:
    for wheel in wheels:
        try:
            digest = sha256(wheel.read_bytes())
        except OSError as error:
            raise FileAccessError(str(wheel), error) from error
        if report.wheels.get(wheel.name) != digest:
            yield faults.UNCERTIFIED_WHEEL.of(
                wheel.name, f"the bundle is about no wheel of this name and SHA-256 {digest}"
            )
