"""JSON Schemas of a bundle's files, generated from the records: `python -m tq_cert.evidence.schemas` publishes them.

A schema states shapes; what the verifier checks between fields and files is beyond it.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from tq_cert.evidence.dsse import DsseEnvelope
from tq_cert.evidence.listing import Listing
from tq_cert.evidence.manifest import Manifest
from tq_cert.evidence.run_directory import Link
from tq_cert.evidence.stage_record import StageRecord
from tq_cert.evidence.statement import Statement

PUBLISHED = {
    "manifest": Manifest,
    "stage_record": StageRecord,
    "link": Link,
    "digests": Listing,
    "envelope": DsseEnvelope,
    "statement": Statement,
}
FOLDER = Path(__file__).parent / "schema"


def schema_of(name: str) -> dict[str, Any]:
    """The schema of one kind of file, as data."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"TurboQuant for MLX: {name.replace('_', ' ')}",
        **msgspec.json.schema(PUBLISHED[name]),
    }


def schema_text(name: str) -> str:
    """The schema as the text that is published."""
    return json.dumps(schema_of(name), indent=2) + "\n"


def publish() -> None:
    """Write every schema into the package."""
    FOLDER.mkdir(exist_ok=True)
    for name in PUBLISHED:
        (FOLDER / f"{name}.schema.json").write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    publish()
