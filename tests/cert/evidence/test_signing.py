"""Signatures, against securesystemslib's own reading of the envelope."""

import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

import broken_bundles as bb
import evidence_bundle as eb
from tq_cert.errors import FileAccessError, MissingDependencyError, OptionError
from tq_cert.evidence import load_signer, verify
from tq_cert.evidence.signing import Signer, load_public_key


def envelope_of(files):
    return Envelope.from_dict(json.loads(files["statement.json"]))


def oracle_key(signer):
    return SSlibKey.from_crypto(signer._key.public_key(), keyid=signer.claim.keyid)


def pem(key, path, public=False):
    if public:
        content = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    else:
        content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(content)
    return path


def test_securesystemslib_accepts_the_signature_and_reads_the_statement():
    signer = Signer(bb.KEY)
    envelope = envelope_of(eb.bundle(signer=signer))
    assert list(envelope.verify([oracle_key(signer)], 1)) == [signer.claim.keyid]
    assert json.loads(envelope.payload)["_type"] == "https://in-toto.io/Statement/v1"
    with pytest.raises(VerificationError):
        envelope.verify([oracle_key(Signer(bb.OTHER_KEY))], 1)


def test_what_securesystemslib_signs_is_signed_over_the_same_bytes():
    envelope = envelope_of(eb.bundle(signer=Signer(bb.KEY)))
    assert bb.KEY.sign(envelope.pae()).hex() == envelope.signatures[Signer(bb.KEY).claim.keyid].signature


def test_a_signed_bundle_names_its_signer_and_holds_for_that_key_alone(tmp_path):
    private, public = pem(bb.KEY, tmp_path / "private.pem"), pem(bb.KEY, tmp_path / "public.pem", public=True)
    signer = load_signer(private)
    path = bb.write(bb.Broken(eb.bundle(signer=signer), ""), tmp_path)
    report = verify(path, key=load_public_key(public))
    assert (report.faults, report.signer) == ((), signer.claim.keyid)
    assert verify(path).faults == ()
    other = verify(path, key=bb.OTHER_KEY.public_key().public_bytes_raw())
    assert [fault.code for fault in other.faults] == ["other_signer"]


@pytest.mark.parametrize("load", [load_signer, load_public_key])
def test_other_keys_are_refused_by_name(load, tmp_path):
    path = tmp_path / "key.pem"
    path.write_text("no key")
    with pytest.raises(OptionError, match=r"key\.pem holds no (private|public) ed25519 key"):
        load(path)
    pem(generate_private_key(SECP256R1()), path, public=load is load_public_key)
    with pytest.raises(OptionError, match="another algorithm"):
        load(path)
    with pytest.raises(FileAccessError, match=r"missing\.pem"):
        load(tmp_path / "missing.pem")


def test_without_cryptography_an_unsigned_bundle_is_verified_and_a_signed_one_is_not_believed(tmp_path):
    code = "import sys; sys.modules['cryptography'] = None; from tq_cert.cli import main; sys.exit(main(sys.argv[1:]))"

    def run(files, name):
        path = bb.write(bb.Broken(files, ""), tmp_path / name)
        command = [sys.executable, "-c", code, "verify", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for name in ("unsigned", "signed"):
        (tmp_path / name).mkdir()
    assert run(eb.bundle(), "unsigned").returncode == 0
    signed = run(eb.bundle(signer=Signer(bb.KEY)), "signed")
    assert signed.returncode == 2
    assert "pip install 'tq-cert[sign]'" in signed.stderr


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingDependencyError, match="cryptography"):
        load_signer(tmp_path / "key.pem")
