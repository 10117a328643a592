"""The published JSON Schema."""

import json
from importlib.resources import files

import jsonschema

from tq_contract.schema import PUBLISHED, contract_schema, schema_text


def test_the_published_schema_is_current():
    published = files("tq_contract").joinpath(PUBLISHED).read_text(encoding="utf-8")
    assert published == schema_text(), f"run `python -m tq_contract.schema` and save what it prints as {PUBLISHED}"


def test_the_module_prints_it(run_python):
    assert run_python("import runpy; runpy.run_module('tq_contract.schema', run_name='__main__')") == schema_text()


def test_it_is_a_schema_and_accepts_the_contract(document):
    jsonschema.Draft202012Validator.check_schema(contract_schema())
    jsonschema.Draft202012Validator(contract_schema()).validate(document)


def test_every_object_is_closed_and_complete():
    for name, record in contract_schema()["$defs"].items():
        assert record["additionalProperties"] is False, name
        assert record["required"] == list(record["properties"]), name
        assert record["description"], name


def test_it_is_plain_json():
    assert json.loads(schema_text()) == contract_schema()
