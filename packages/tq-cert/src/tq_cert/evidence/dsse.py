"""statement.json: the statement in a DSSE envelope (Dead Simple Signing Envelope), with a signature or without."""

import base64
import binascii
from typing import Literal

from msgspec import field

from tq_cert.evidence.canonical import sha256
from tq_cert.evidence.fields import EvidenceRecord, Sha256, Text

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class Signature(EvidenceRecord, frozen=True):
    """A signature over the envelope's payload type and payload, in base64."""

    keyid: Sha256
    sig: Text


class DsseEnvelope(EvidenceRecord, frozen=True):
    """A Dead Simple Signing Envelope around the statement, in base64."""

    payload: Text
    payload_type: Literal["application/vnd.in-toto+json"] = field(name="payloadType")
    signatures: tuple[Signature, ...]


def signed_bytes(payload: bytes) -> bytes:
    """What a signature is made over: DSSE's pre-authentication encoding of the payload type and the payload."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def to_base64(content: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(content).decode()


def from_base64(text: str) -> bytes | None:
    """The bytes, or None where the text is not exactly what `to_base64` writes for them."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if to_base64(content) == text else None


def keyid_of(public_key: bytes) -> str:
    """How signatures name a key."""
    return sha256(public_key)
