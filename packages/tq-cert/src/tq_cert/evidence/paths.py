"""Where the files of a bundle lie, each relative to the bundle."""

import re

MANIFEST = "manifest.json"
STATEMENT = "statement.json"
DIGESTS = "digests.json"
LOG = "stages.jsonl"
STAGES = "stages"


def record_path(stage: str) -> str:
    """A stage's record."""
    return f"{STAGES}/{stage}.json"


def junit_path(stage: str) -> str:
    """The XML that is made from it."""
    return f"{STAGES}/{stage}.xml"


def artifact_problem(stage: str, path: str) -> str | None:
    """Why a stage cannot leave an artifact at this path; None if it can."""
    form = re.fullmatch(rf"{STAGES}/{stage}\.([A-Za-z0-9_.-]+)", path)
    if form is None:
        return f"is not {STAGES}/{stage}.SUFFIX"
    return "is where its record and its XML lie" if form[1] in ("json", "xml") else None
