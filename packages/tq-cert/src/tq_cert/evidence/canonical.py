"""The one form in which evidence is written as JSON, and the digest of it."""

import hashlib

import msgspec


def encode(record: msgspec.Struct) -> bytes:
    """A record as indented JSON with a final line break, its fields in the order of their declaration."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def encode_line(record: msgspec.Struct) -> bytes:
    """A record as one line."""
    return msgspec.json.encode(record) + b"\n"


def digest_of(record: msgspec.Struct) -> str:
    """SHA-256 of the record's JSON, as hexadecimal digits."""
    return sha256(encode(record))


def sha256(content: bytes) -> str:
    """SHA-256 of these bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
