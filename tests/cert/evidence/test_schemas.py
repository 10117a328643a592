"""The published JSON Schemas, held against the records and, by jsonschema, against a bundle."""

import json
from importlib.resources import files

import jsonschema
import pytest

import evidence_bundle as eb
from tq_cert.evidence.canonical import encode
from tq_cert.evidence.schemas import PUBLISHED, schema_of, schema_text

FOLDER = files("tq_cert.evidence.schema")
BUNDLE = eb.bundle()
FILES = {
    "manifest": [BUNDLE["manifest.json"]],
    "stage_record": [BUNDLE[f"stages/{stage.name}.json"] for stage in eb.EDITION.stages],
    "link": BUNDLE["stages.jsonl"].splitlines(),
    "digests": [BUNDLE["digests.json"]],
    "envelope": [BUNDLE["statement.json"]],
    "statement": [encode(eb.statement(BUNDLE))],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_schema_is_current(name):
    published = FOLDER.joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(name), "run `python -m tq_cert.evidence.schemas`"


def test_no_other_schema_is_published():
    assert {file.name for file in FOLDER.iterdir()} == {f"{name}.schema.json" for name in PUBLISHED}
    assert FILES.keys() == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_files_of_a_bundle_fit_their_schema(name):
    validator = jsonschema.Draft202012Validator(schema_of(name))
    validator.check_schema(schema_of(name))
    for content in FILES[name]:
        document = json.loads(content)
        validator.validate(document)
        document |= {"series": document["series"][:1]} if name == "stage_record" else {}  # the rest only takes time
        assert not validator.is_valid({**document, "verdict_of_mine": "passed"})
        for field in document:
            assert not validator.is_valid({key: value for key, value in document.items() if key != field}), field
