"""Ed25519 signatures over a DSSE envelope, by the package `cryptography` (extra `sign`)."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from tq_cert.errors import FileAccessError, MissingDependencyError, OptionError
from tq_cert.evidence.dsse import Signature, from_base64, keyid_of, signed_bytes, to_base64
from tq_cert.evidence.statement import SignerClaim

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Signer:
    """Signs with one private key."""

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        self._key = key
        public = key.public_key().public_bytes_raw()
        self.claim = SignerClaim(keyid_of(public), to_base64(public))

    def sign(self, payload: bytes) -> Signature:
        """The signature of a statement's bytes."""
        return Signature(self.claim.keyid, to_base64(self._key.sign(signed_bytes(payload))))


def load_signer(path: Path) -> Signer:
    """The signer whose private key is in this PEM file, without a passphrase.

    Raises:
        FileAccessError: the file cannot be read.
        OptionError: it holds no such key.
        MissingDependencyError: `cryptography` is not installed.
    """
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, "private", str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path, "private", "another algorithm")
    return Signer(key)


def load_public_key(path: Path) -> bytes:
    """The 32 bytes of the public key in this PEM file; see `load_signer` for what it raises."""
    require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, "public", str(error)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _not_a_key(path, "public", "another algorithm")
    return key.public_bytes_raw()


def is_signature(signature: Signature, payload: bytes, claim: SignerClaim) -> bool:
    """Whether this is the claimed signer's signature of a statement's bytes.

    Raises:
        MissingDependencyError: `cryptography` is not installed.
    """
    require_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public, sig = from_base64(claim.public_key), from_base64(signature.sig)
    if public is None or sig is None or not claim.keyid == keyid_of(public) == signature.keyid:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(sig, signed_bytes(payload))
    except (InvalidSignature, ValueError):
        return False
    return True


def require_cryptography() -> None:
    """Raise MissingDependencyError where `cryptography` is not installed."""
    if importlib.util.find_spec("cryptography") is None:
        raise MissingDependencyError("cryptography", "make or check signatures", "sign")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileAccessError(str(path), error) from error


def _not_a_key(path: Path, kind: str, problem: str) -> OptionError:
    return OptionError(
        "--key",
        f"{path} holds no {kind} ed25519 key in PEM without a passphrase: {problem}",
        "make one with `openssl genpkey -algorithm ed25519 -out private.pem` and "
        "`openssl pkey -in private.pem -pubout -out public.pem`",
    )
