"""Every systematic mutation of the contract is rejected, at the right place and nowhere else."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tq_contract.load import packaged_bytes
from tq_contract.rules import broken_rules
from tq_contract.schema import contract_schema

Path = tuple[str | int, ...]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place below the document itself, as keys and indices."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in members:
        yield (*path, key)
        yield from paths(below, (*path, key))


def get(document: Any, path: Path) -> Any:
    for key in path:
        document = document[key]
    return document


def pointer(path: Path) -> str:
    """The JSON Pointer written independently of the code under test; no key here needs escaping."""
    return "".join(f"/{key}" for key in path)


DOCUMENT = json.loads(packaged_bytes())
PATHS = list(paths(DOCUMENT))
SCHEMA = jsonschema.Draft202012Validator(contract_schema())
MEMBERS = [path for path in PATHS if isinstance(path[-1], str)]


def at_each(chosen: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", chosen, ids=map(pointer, chosen))


def at_each_of(kind: type) -> pytest.MarkDecorator:
    return at_each([path for path in PATHS if type(get(DOCUMENT, path)) is kind])


# One mutation at every place of the file -----------------------------------------------------------


@at_each(MEMBERS)
def test_a_deleted_field_is_missing(path, document, places_of):
    del get(document, path[:-1])[path[-1]]
    assert places_of(document) == [pointer(path)]


@at_each(MEMBERS)
def test_a_renamed_field_is_both_missing_and_unknown(path, document, places_of):
    parent = get(document, path[:-1])
    parent[f"{path[-1]}_"] = parent.pop(path[-1])
    expected = [pointer(path), pointer(path) + "_"]
    if path[-1] == "codec":  # without it the record, and so its fields, are not known
        expected = expected[:1]
    assert places_of(document) == expected


@at_each_of(dict)
def test_an_added_field_is_unknown(path, document, places_of):
    get(document, path)["a/b~c"] = None
    assert places_of(document) == [pointer(path) + "/a~1b~0c"]


WRONG_KIND = {
    dict: (None, [], "x", 7),
    list: (None, {}, "x", 7),
    str: (None, 7, True, [], {}, ""),
    bool: (None, 0, 1, "true", [], 1.0),
    int: (None, True, "4", 4.5, [], {}),
    type(None): ("4", True, 0, 4.5, []),  # what else a field that may be null holds is none of these
}


@at_each(PATHS)
def test_a_value_of_another_kind_is_refused(path, document, places_of):
    for wrong in WRONG_KIND[type(get(DOCUMENT, path))]:
        get(document, path[:-1])[path[-1]] = wrong
        assert places_of(document) == [pointer(path)], wrong


@at_each_of(int)
def test_an_integer_written_with_a_fraction_is_refused(path, document, places_of):
    parent = get(document, path[:-1])
    parent[path[-1]] = float(parent[path[-1]])
    assert places_of(document) == [pointer(path)]


@at_each(MEMBERS)
def test_an_equal_key_is_refused_even_with_an_equal_value(path, document, places_of):
    parent = get(document, path[:-1])
    parent["DUPLICATE"] = parent[path[-1]]
    text = json.dumps(document).replace('"DUPLICATE"', json.dumps(path[-1]))
    assert places_of(text.encode()) == [pointer(path)]


@at_each(PATHS)
def test_a_number_that_is_none_is_reported_once(path, document, places_of):
    get(document, path[:-1])[path[-1]] = "NUMBER"
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5000):
        text = json.dumps(document).replace('"NUMBER"', number)
        assert places_of(text.encode()) == [pointer(path)], number[:9]


# Out of range, by table ----------------------------------------------------------------------------

OUT_OF_RANGE = [
    ("/contract_version", 0),
    ("/contract_version", 2),
    ("/release", "0.1"),
    ("/release", "v0.1.0"),
    ("/release", "0.1.0\n"),
    ("/windows/python", "3.11"),
    ("/windows/python", ">= 3.11"),
    ("/windows/python", ">=3.11\n"),
    ("/windows/python", ">=" + "9" * 5000),
    ("/windows/mlx", ">=0.32"),
    ("/windows/mlx", ">=0.32,<=0.33"),
    ("/windows/mlx_lm", "~=0.32"),
    ("/windows/mlx_lm", ""),
    ("/platforms", []),
    ("/platforms/0/system", "darwin"),
    ("/platforms/1/machine", "amd64"),
    ("/platforms/1/backend", "rocm"),
    ("/platforms/1/role", "supported"),
    ("/families", []),
    ("/families/0/name", "Llama"),
    ("/families/0/status", "allowed"),
    ("/families/0/evidence", "strong"),
    ("/families/0/model_types", []),
    ("/families/0/model_types/0", "llama/../x"),
    ("/families/0/coverage/0", ""),
    ("/presets", []),
    ("/presets/0/name", "paper-mse"),
    ("/presets/0/name", "paper_mse\n"),
    ("/presets/0/classification", "paper"),
    ("/presets/0/aliases", ["Paper"]),
    ("/presets/0/summary", ""),
    ("/presets/0/parameters/keys/codec", "msе"),  # noqa: RUF001 - a Cyrillic letter
    ("/presets/0/parameters/keys/bits", 0),
    ("/presets/0/parameters/keys/bits", 9),
    ("/presets/0/parameters/values/bits", -4),
    ("/presets/0/parameters/keys/gain", "nrom"),
    ("/presets/0/parameters/keys/rotation/kind", "dense"),
    ("/presets/0/parameters/keys/rotation/seed", -1),
    ("/presets/0/parameters/keys/rotation/seed", 2**32),
    ("/presets/0/parameters/keys/rotation/seed", 10**400),
    ("/presets/0/parameters/sink_tokens", -1),
    ("/presets/0/parameters/sink_tokens", 2**31),
    ("/presets/0/parameters/tail_tokens", -1),
    ("/presets/0/parameters/block_tokens", 0),
    ("/presets/1/parameters/keys/bits", 1),
    ("/presets/1/parameters/keys/bits", 7),
    ("/presets/1/parameters/values/bits", 9),
    ("/hooks", []),
    ("/hooks/0/module", "mlx_lm..cache"),
    ("/hooks/0/module", "mlx_lm.models."),
    ("/hooks/0/name", "make-prompt-cache"),
    ("/hooks/0/parameters", []),
    ("/hooks/0/parameters/0", "*model"),
    ("/state/schema_version", 3),
    ("/state/schema_version", 5),
]


def put(document, place, value):
    *above, last = [int(key) if key.isdigit() else key for key in place.split("/")[1:]]
    for key in above:
        document = document[key]
    document[last] = value


@pytest.mark.parametrize(("place", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused(place, value, document, places_of):
    put(document, place, value)
    below = "/0" if value == ["Paper"] else ""
    assert places_of(document) == [place + below]


IN_RANGE = [
    ("/release", "10.20.30"),
    ("/windows/python", ">=3.11,<4"),
    ("/presets/0/aliases", ["paper_scalar"]),
    ("/presets/0/parameters/keys/bits", 1),
    ("/presets/0/parameters/keys/bits", 8),
    ("/presets/0/parameters/keys/rotation/kind", "random_orthogonal"),
    ("/presets/0/parameters/keys/rotation/seed", 2**32 - 1),
    ("/presets/0/parameters/block_tokens", 1),
    ("/presets/0/parameters/block_tokens", 128),
    ("/presets/1/parameters/keys/bits", 5),
    ("/presets/1/parameters/keys/scale_search", False),
    ("/families/0/model_types", ["llama", "Klear-2.5"]),
]


@pytest.mark.parametrize(("place", "value"), IN_RANGE)
def test_a_value_at_the_edge_of_its_range_is_accepted(place, value, document, places_of):
    put(document, place, value)
    assert places_of(document) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_number_of_problems_is_reported_exactly(data, places_of):
    every = [path for path in PATHS if path[-1] != "codec"]
    chosen = data.draw(st.lists(st.sampled_from(every), min_size=2, max_size=12, unique=True))
    apart = [one for one in chosen if not any(one != other and one[: len(other)] == other for other in chosen)]
    document = copy.deepcopy(DOCUMENT)
    for path in apart:
        get(document, path[:-1])[path[-1]] = WRONG_KIND[type(get(DOCUMENT, path))][1]
    assert places_of(document) == sorted(pointer(path) for path in apart)


# Anything at all -----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(["mse", "uniform", "norm", "least_squares", "hadamard", "none", "metal", "llama", ">=1,<2"])


def is_whole_float(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (isinstance(value, float) and value == value // 1) or any(map(is_whole_float, parts))


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=JSON | WORDS | st.integers(-1, 9))
def test_the_loader_and_the_published_schema_agree(data, value, places_of):
    """A document whose shape is right for one is right for the other, whatever stands in it."""
    path = data.draw(st.sampled_from(PATHS))
    document = copy.deepcopy(DOCUMENT)
    parent = get(document, path[:-1])
    key = data.draw(st.text(max_size=3)) if data.draw(st.booleans()) and isinstance(parent, dict) else path[-1]
    parent[key] = value
    rules = {problem.place for problem in broken_rules(document)}
    shape = [place for place in places_of(document) if place not in rules]
    schema_says = SCHEMA.is_valid(document)
    if schema_says and shape:  # JSON Schema takes 4.0 for an integer; the contract wants it written 4
        assert is_whole_float(value)
    else:
        assert schema_says == (not shape)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, len(packaged_bytes()) - 1), length=st.integers(0, 20), noise=st.binary(max_size=20))
def test_damaged_bytes_never_raise_anything_else(start, length, noise, places_of):
    data = packaged_bytes()
    places_of(data[:start] + noise + data[start + length :])
