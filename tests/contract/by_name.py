"""Places of the packaged contract, written with a preset's name where its index would stand."""

import json
from typing import Any

from tq_contract.load import packaged_bytes

PACKAGED = json.loads(packaged_bytes())


def place(named: str) -> str:
    """`/presets/paper_mse/name` as the JSON Pointer of the packaged contract."""
    return "".join(f"/{step}" for step in steps(named))


def steps(named: str) -> list[str | int]:
    """The keys and indices on the way; where the packaged contract ends, digits are an index."""
    way: list[str | int] = []
    value: Any = PACKAGED
    for text in named.split("/")[1:]:
        if isinstance(value, list) and not text.isdigit():
            step: str | int = [item["name"] for item in value].index(text)
        else:
            step = int(text) if text.isdigit() else text
        way.append(step)
        inside = step in value if isinstance(value, dict) else isinstance(value, list) and int(step) < len(value)
        value = value[step] if inside else None
    return way


def put(document: Any, named: str, value: Any) -> None:
    *above, last = steps(named)
    for step in above:
        document = document[step]
    document[last] = value
