"""The contract's digest is that of the packaged file."""

import hashlib
from pathlib import Path

import tq_contract


def test_it_is_the_sha256_of_the_file():
    file = Path(tq_contract.__file__).with_name("contract.json")
    assert tq_contract.digest() == hashlib.sha256(file.read_bytes()).hexdigest()
