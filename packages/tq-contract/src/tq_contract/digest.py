"""The digest by which files, reports and bundles name this contract."""

import hashlib

from tq_contract.load import packaged_bytes


def digest() -> str:
    """Return the SHA-256 of the packaged `contract.json`, byte for byte, as hexadecimal digits."""
    return hashlib.sha256(packaged_bytes()).hexdigest()
