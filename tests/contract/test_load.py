"""Strict loading: the packaged contract loads, and everything wrong with another is reported together."""

import json

import msgspec
import pytest
from tests.contract.by_name import place, put, steps

from tq_contract import Contract, ContractError, load, load_bytes, loads
from tq_contract.load import packaged_bytes


def test_the_packaged_contract_loads_and_is_read_once():
    contract = load()
    assert isinstance(contract, Contract)
    assert load() is contract
    assert load_bytes(packaged_bytes()) == contract
    assert loads(packaged_bytes().decode()) == contract


def test_every_field_arrives(document):
    assert json.loads(msgspec.json.encode(load())) == document


# Text that is no document --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON at line 1, column 1"),
        (b"{", "not JSON at line 1, column 2"),
        (packaged_bytes() + b"{}", "Extra data"),
        (packaged_bytes() + b",", "Extra data"),
        (packaged_bytes()[:-3], "not JSON"),
        (b"\xef\xbb\xbf" + packaged_bytes(), "BOM"),
        (packaged_bytes().decode().encode("utf-16"), "byte 0 is not valid UTF-8"),
        (packaged_bytes().replace(b"llama", b"ll\xffma", 1), "is not valid UTF-8"),
        (b'{\n  "windows": {\n    \'mlx\': ">=0.32"}}', "not JSON at line 3, column 5"),
        (packaged_bytes().replace(b'"mlx"', b"'mlx'"), "not JSON at line"),
        (packaged_bytes().replace(b"llama", b"ll\x00ma", 1), "Invalid control character"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_that_is_no_json_document_is_refused_whole(data, message):
    with pytest.raises(ContractError) as caught:
        load_bytes(data)
    first = caught.value.problems[0]
    if first.place == "":
        assert message in first.message
        assert len(caught.value.problems) == 1
    else:  # deep, but not too deep for this interpreter
        assert message == "nested too deeply"
        assert "/a" in {problem.place for problem in caught.value.problems}


@pytest.mark.parametrize("text", ["null", "[]", "7", '"contract"', "true"])
def test_a_document_that_is_no_object_is_refused_whole(text, places_of):
    assert places_of(text.encode()) == [""]


def test_half_a_surrogate_pair_is_refused_in_values_and_names(document, places_of):
    document["presets"][0]["summary"] = "\ud800"
    document["\udc00"] = 1
    assert places_of(document) == sorted(["/presets/0/summary", "/\udc00"])
    with pytest.raises(ContractError) as caught:
        loads(json.dumps(document))
    str(caught.value).encode()  # can be printed


def test_text_with_half_a_surrogate_pair_is_refused():
    with pytest.raises(ContractError, match="UTF-8"):
        loads('"\ud800"')


# Several at once -----------------------------------------------------------------------------------


def test_problems_of_every_kind_are_reported_together(document, places_of):
    document["windows"]["mlx"] = ">=0.33,<0.32"  # rule
    document["families"][2]["model_types"].append("llama")  # rule
    put(document, "/presets/paper_mse/parameters/keys/gain", "nrom")  # shape
    put(document, "/presets/uniform_k4v4/parameters/values/gain", "norm")  # rule, beside the next
    put(document, "/presets/uniform_k4v4/parameters/values/bits", 7)  # shape
    put(document, "/presets/max_quality/name", "paper_mse")  # rule, in a broken record
    del document["presets"][steps("/presets/max_quality")[-1]]["summary"]  # shape
    document["state"]["schema_version"] = "NAN"  # text
    text = json.dumps(document).replace('"NAN"', "NaN")
    text = text.replace('"release": "0.1.0"', '"release": "0.1.0", "release": "0.1.0"')  # text
    assert places_of(text.encode()) == sorted(
        map(
            place,
            [
                "/windows/mlx",
                "/families/2/model_types/1",
                "/presets/paper_mse/parameters/keys/gain",
                "/presets/uniform_k4v4/parameters/values/scale_search",
                "/presets/uniform_k4v4/parameters/values/bits",
                "/presets/max_quality/name",
                "/presets/max_quality/summary",
                "/state/schema_version",
                "/release",
            ],
        )
    )
