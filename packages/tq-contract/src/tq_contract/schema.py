"""The contract's JSON Schema, generated from the records and published as `contract.schema.json`.

`python -m tq_contract.schema` prints the current one. The schema states shapes; the rules between
fields (`rules.py`) are beyond it.
"""

import json
import sys
from typing import Any

import msgspec

from tq_contract.records import Contract

PUBLISHED = "contract.schema.json"


def contract_schema() -> dict[str, Any]:
    """Return the schema as data."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "TurboQuant for MLX: contract",
        **msgspec.json.schema(Contract),
    }


def schema_text() -> str:
    """Return the schema as the text that is published."""
    return json.dumps(contract_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
