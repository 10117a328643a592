"""Contract file to `Contract`, strictly: either all of it is right or every problem is reported.

The steps: text to values (`strict_json.py`), values against the records (`conform.py`), values
against the rules between fields (`rules.py`). No step stops at its first problem.
"""

from functools import cache
from importlib.resources import files

import msgspec

from tq_contract.conform import conform
from tq_contract.problems import ContractError
from tq_contract.records import Contract
from tq_contract.rules import broken_rules
from tq_contract.strict_json import parse

PACKAGED = "contract.json"


@cache
def load() -> Contract:
    """Return the contract that this package carries."""
    return load_bytes(packaged_bytes(), source=PACKAGED)


def load_bytes(data: bytes, source: str = "contract") -> Contract:
    """Read a contract from the bytes of its JSON text.

    Args:
        data: UTF-8 JSON.
        source: what to call it in an error.

    Raises:
        ContractError: with every problem and its place.
    """
    document, problems = parse(data)
    problems += conform(document, contract_type())
    problems += broken_rules(document)
    if problems:
        raise ContractError(problems, source)
    return msgspec.convert(document, Contract)


def loads(text: str, source: str = "contract") -> Contract:
    """Read a contract from JSON text; see `load_bytes`."""
    return load_bytes(text.encode("utf-8", "surrogatepass"), source)


def packaged_bytes() -> bytes:
    """Return the packaged `contract.json` as it is."""
    return files("tq_contract").joinpath(PACKAGED).read_bytes()


@cache
def contract_type() -> msgspec.inspect.Type:
    """Return what the records say about the shape of a contract."""
    return msgspec.inspect.type_info(Contract)
