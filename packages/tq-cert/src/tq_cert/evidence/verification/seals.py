"""Whether the files are those that were sealed: the statement seals the listing, and the listing every other file."""

from collections.abc import Iterator, Mapping

from tq_cert.evidence.canonical import sha256
from tq_cert.evidence.listing import Listing
from tq_cert.evidence.paths import DIGESTS, MANIFEST, STATEMENT
from tq_cert.evidence.statement import Predicate
from tq_cert.evidence.verification import faults
from tq_cert.evidence.verification.faults import Fault
from tq_cert.evidence.verification.parts import missing


def broken_seals(files: Mapping[str, bytes], listing: Listing, predicate: Predicate) -> Iterator[Fault]:
    """Every file that is not as it was sealed.

    Where statement and listing disagree, the one that agrees with the other files is believed, so that a changed file
    is called by its name.
    """
    listed = [*_against_listing(files, listing)]
    yield from listed
    if sha256(files[DIGESTS]) != predicate.digests_sha256:
        at_fault = DIGESTS if listed else STATEMENT
        yield faults.WRONG_SEAL.of(
            at_fault, f"{STATEMENT} seals another {DIGESTS}, of SHA-256 {predicate.digests_sha256}"
        )
    if sha256(files[MANIFEST]) != predicate.manifest_sha256 and not any(fault.file == MANIFEST for fault in listed):
        other = f"{STATEMENT} seals another {MANIFEST}, of SHA-256 {predicate.manifest_sha256}"
        yield faults.WRONG_SEAL.of(STATEMENT, other)


def _against_listing(files: Mapping[str, bytes], listing: Listing) -> Iterator[Fault]:
    listed = {entry.path: entry for entry in listing.files}
    if [entry.path for entry in listing.files] != sorted(listed):
        yield faults.NOT_CANONICAL.of(DIGESTS, "does not list every file once, in order")
    for path in sorted(files.keys() - listed.keys() - {DIGESTS, STATEMENT}):
        yield faults.EXTRA_FILE.of(path, f"is not in {DIGESTS}")
    for path, entry in listed.items():
        if path not in files:
            yield missing(path)
        elif (actual := (len(files[path]), sha256(files[path]))) != (entry.size, entry.sha256):
            expected = f"{entry.size} bytes of SHA-256 {entry.sha256}"
            yield faults.WRONG_DIGEST.of(
                path, f"has {actual[0]} bytes of SHA-256 {actual[1]}; {DIGESTS} lists {expected}"
            )
