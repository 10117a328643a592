"""One changed byte anywhere: verification fails, and names the file that the byte is in."""

import random

import pytest

import broken_bundles as bb
import evidence_bundle as eb
from tq_cert.evidence.archive import packed
from tq_cert.evidence.signing import Signer
from tq_cert.evidence.verification.faults import RejectedError
from tq_cert.evidence.verification.verify import verify_files
from tq_cert.evidence.verification.zip_file import read_zip

SIGNED = eb.bundle(signer=Signer(bb.KEY))


def faults_of(files):
    try:
        return verify_files(files, "bundle").faults
    except RejectedError as rejected:
        return rejected.faults


def positions(content, drawn, count):
    drawable = range(len(content))
    return {0, len(content) - 1, *drawn.sample(drawable, min(count, len(content)))}


def changes(byte, drawn):
    """A random other byte, one bit, and the other case of a letter."""
    return {drawn.randrange(256), byte ^ 1, byte ^ 0x20} - {byte}


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("path", SIGNED)
def test_a_changed_byte_of_a_file_is_found_and_its_file_named(path, signed):
    valid = SIGNED if signed else eb.bundle()
    drawn = random.Random(path)
    content = valid[path]
    for position in positions(content, drawn, 80 if path == "statement.json" else 4):
        byte = drawn.choice(sorted(changes(content[position], drawn)))
        changed = content[:position] + bytes([byte]) + content[position + 1 :]
        named = {fault.file for fault in faults_of({**valid, path: changed})}
        assert named, (position, byte)
        assert path in named, (position, byte, named)


@pytest.mark.parametrize("path", SIGNED)
def test_a_byte_more_or_less_is_found(path):
    content = SIGNED[path]
    for changed in (content[:-1], content + b"\n", content + b" ", b"\xef\xbb\xbf" + content, b""):
        assert path in {fault.file for fault in faults_of({**SIGNED, path: changed})}


def test_every_byte_of_a_zip_file_matters():
    content = packed(SIGNED)
    drawn = random.Random(0)
    directory = content.index(b"PK\x01\x02")
    headers = [start for start in range(directory) if content.startswith(b"PK\x03\x04", start)]
    everywhere = drawn.sample(range(len(content)), 80)
    where = {*everywhere, *range(len(content) - 22, len(content)), *range(directory, directory + 60)}
    where |= {header + offset for header in headers[:2] for offset in range(30)}
    for position in sorted(where):
        changed = bytearray(content)
        changed[position] ^= 1 << drawn.randrange(8)
        with pytest.raises(RejectedError) as rejected:
            read_zip(bytes(changed), "bundle.zip")
        assert rejected.value.faults


@pytest.mark.parametrize("path", SIGNED)
def test_a_changed_byte_of_a_member_names_the_member(path):
    content = packed(SIGNED)
    start = content.index(SIGNED[path])
    for position in {start, start + len(SIGNED[path]) // 2, start + len(SIGNED[path]) - 1}:
        changed = content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]
        with pytest.raises(RejectedError) as rejected:
            read_zip(changed, "bundle.zip")
        assert [(fault.code, fault.file) for fault in rejected.value.faults] == [("damaged_member", path)]


def test_nothing_can_be_put_before_between_or_behind():
    content = packed(SIGNED)
    directory = content.index(b"PK\x01\x02")
    for changed in (b"\0" + content, content + b"\0", content[:directory] + b"\0" + content[directory:]):
        with pytest.raises(RejectedError):
            read_zip(changed, "bundle.zip")


def test_packing_is_deterministic():
    assert packed(SIGNED) == packed(dict(reversed(SIGNED.items())))
    assert read_zip(packed(SIGNED), "bundle.zip") == SIGNED
