"""The files of a bundle read as what they are: manifest, listing, statement, chain, records."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from tq_cert.evidence.canonical import encode, encode_line
from tq_cert.evidence.dsse import DsseEnvelope, from_base64
from tq_cert.evidence.listing import Listing
from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.paths import DIGESTS, LOG, MANIFEST, STATEMENT
from tq_cert.evidence.reading import NotARecordError, decode
from tq_cert.evidence.run_directory import Link
from tq_cert.evidence.stage_record import StageRecord
from tq_cert.evidence.statement import Statement
from tq_cert.evidence.verification import faults
from tq_cert.evidence.verification.faults import Fault, reject

R = TypeVar("R", bound=msgspec.Struct)
VERSION = 1


class Claim(msgspec.Struct, frozen=True):
    """What statement.json says: the envelope, the bytes that a signature is over, and the statement in them."""

    envelope: DsseEnvelope
    payload: bytes
    statement: Statement


def read_claim(files: Mapping[str, bytes]) -> Claim:
    """The envelope and the statement in it.

    Raises:
        RejectedError: there is no readable statement in the one form in which it is written.
    """
    envelope = read_record(files, STATEMENT, DsseEnvelope)
    payload = from_base64(envelope.payload)
    if payload is None:
        reject(faults.NOT_CANONICAL.of(STATEMENT, "its payload is not base64 as this project writes it"))
    return Claim(envelope, payload, _read(payload, STATEMENT, Statement, encode))


def read_manifest(files: Mapping[str, bytes]) -> Manifest:
    """The manifest; see `read_record`."""
    return read_record(files, MANIFEST, Manifest)


def read_listing(files: Mapping[str, bytes]) -> Listing:
    """The listing; see `read_record`."""
    return read_record(files, DIGESTS, Listing)


def read_links(files: Mapping[str, bytes]) -> tuple[Link, ...]:
    """The lines of the log; see `read_record`."""
    return tuple(_read(line, LOG, Link, encode_line) for line in _content(files, LOG).splitlines(keepends=True))


def read_stage(files: Mapping[str, bytes], path: str) -> StageRecord:
    """A stage's record; see `read_record`."""
    return read_record(files, path, StageRecord)


def read_record(files: Mapping[str, bytes], path: str, kind: type[R]) -> R:
    """The record in this file.

    Raises:
        RejectedError: the file is missing, is no such record, or is not in the form in which records are written.
    """
    return _read(_content(files, path), path, kind, encode)


def _content(files: Mapping[str, bytes], path: str) -> bytes:
    if path not in files:
        reject(missing(path))
    return files[path]


def missing(path: str) -> Fault:
    """The fault of a file that is not there."""
    return faults.MISSING_FILE.of(path, "is missing")


def _read(content: bytes, path: str, kind: type[R], write: Callable[[R], bytes]) -> R:
    try:
        return decode(content, kind, write)
    except NotARecordError as error:
        if error.version is not None and error.version > VERSION:
            reject(faults.FUTURE_SCHEMA.of(path, f"has schema version {error.version}; this verifier knows {VERSION}"))
        shape = faults.NOT_A_STATEMENT if kind is Statement else faults.NOT_A_RECORD
        fault = {"text": faults.NOT_JSON, "shape": shape, "form": faults.NOT_CANONICAL}[error.at_fault]
        raise faults.RejectedError(fault.of(path, str(problem)) for problem in error.problems) from error
