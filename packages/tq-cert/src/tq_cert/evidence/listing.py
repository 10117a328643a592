"""digests.json: every file of a bundle but itself and the statement, with size and SHA-256."""

from collections.abc import Mapping

from tq_cert.evidence.canonical import sha256
from tq_cert.evidence.fields import EvidenceRecord, SchemaVersion
from tq_cert.evidence.stage_record import Artifact


class Listing(EvidenceRecord, frozen=True):
    """The files, by path."""

    schema_version: SchemaVersion
    files: tuple[Artifact, ...]


def listing_of(files: Mapping[str, bytes]) -> Listing:
    """The listing of a bundle that holds these files."""
    listed = sorted(files.items())
    return Listing(1, tuple(Artifact(path, len(content), sha256(content)) for path, content in listed))
