"""Every systematic mutation of the contract is rejected, at the right place and nowhere else.

What is mutated is small: of lists with entries of one shape the first is mutated, of certification one that has every
field both null and set, and three presets that have every codec and kind of key bits and set whatever may be null.
"""

import copy
import itertools
import json
from collections.abc import Iterator
from typing import Any, get_args

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.by_name import PACKAGED

from tq_contract import CodecSpec, KeyBitsSpec
from tq_contract.conform import conform
from tq_contract.load import contract_type, packaged_bytes
from tq_contract.schema import contract_schema
from tq_contract.strict_json import parse

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


IDENTITY = {"kind": "identity", "seed": 7}
NOTHING_NULL = {
    "name": "nothing_null",
    "classification": "research-only",
    "aliases": ["another_name"],
    "summary": "Sets what the packaged presets leave null.",
    "parameters": {
        "keys": {
            "codec": "uniform",
            "bits": 8,
            "gain": "norm",
            "scale_search": False,
            "gain_group": 32,
            "rotation": dict(IDENTITY),
        },
        "values": {"codec": "prod", "bits": 2, "sketch_rows": 64, "sketch_seed": 3, "rotation": dict(IDENTITY)},
        "center_keys": True,
        "center_block": 32,
        "sink_tokens": 1,
        "tail_tokens": 2,
        "block_tokens": 2,
        "key_bits": {"kind": "noise", "error": 0.05},
        "sliding_layers": "compressed",
    },
}
BY_NAME = {preset["name"]: preset for preset in PACKAGED["presets"]}
OTHER_CODECS = {
    "name": "other_codecs",
    "classification": "research-only",
    "aliases": [],
    "summary": "Has the codecs that the other two have not.",
    "parameters": {
        **BY_NAME["legacy_topk"]["parameters"],
        "values": BY_NAME["polarquant_exp"]["parameters"]["values"] | {"level_bits": [4, 2]},
        "key_bits": BY_NAME["equal_noise_k45v4"]["parameters"]["key_bits"],
    },
}
THRESHOLD = {"metric": "kl", "families": ["llama"], "preset": None, "bound": "at_most", "value": 0.5}
THRESHOLD |= {"source": "target", "basis": "chosen"}
STAGE = {
    "name": "quality",
    "summary": "Everything.",
    "families": ["llama", "gemma"],
    "presets": ["paper_prod_qjl"],
    "covers": ["smoke"],
    "thresholds": [THRESHOLD, THRESHOLD | {"families": ["gemma"], "preset": "paper_prod_qjl", "value": 1.0}],
    "artifacts": ["stages/quality.json"],
}
CERTIFICATION = {
    "metrics": [{"name": "kl", "unit": "nats", "summary": "Mean KL."}],
    "stages": [STAGE],
    "bundle": ["manifest.json"],
}
FIRST_OF = ("platforms", "secondary_surfaces", "hooks", "deviations")
DOCUMENT = (
    PACKAGED
    | {section: PACKAGED[section][:1] for section in FIRST_OF}
    | {
        "head_dims": [64, 128],
        "families": [PACKAGED["families"][2]]
        + [family | {"coverage": ["smoke"]} for family in PACKAGED["families"][:2]],
        "presets": [BY_NAME["paper_prod_qjl"], OTHER_CODECS, NOTHING_NULL],
        "packages": [{"name": "tq-core", "public": ["pack", "unpack"]}],
        "workflows": [
            {
                "file": "static.yml",
                "triggers": ["push"],
                "jobs": [{"name": "static", "runner": "ubuntu", "commands": ["make check"], "artifacts": ["wheels"]}],
            }
        ],
        "certification": CERTIFICATION,
        "benchmarks": [
            PACKAGED["benchmarks"][0] | {"stage": stage, "name": name}
            for stage, name in (("quality", "gated"), (None, "free"))
        ],
        "publication": {"fields": ["lane"], "rules": ["Say where it comes from."]},
    }
)
TEXT = json.dumps(DOCUMENT)
NULLABLE = {"gain_group", "sketch_rows", "center_block", "key_bits", "preset", "stage"}
PATHS = list(paths(DOCUMENT))
SCHEMA = jsonschema.Draft202012Validator(contract_schema())
MEMBERS = [path for path in PATHS if isinstance(path[-1], str)]


def is_tag(path: Path) -> bool:
    """Whether it tells records apart: without it the record, and so its other fields, are not known."""
    return path[-1] == "codec" or path[-2:] == ("key_bits", "kind")


def at_each(chosen: list[Path]) -> Iterator[tuple[Path, Any, str | int, Any]]:
    """For each of the paths: itself, a fresh document, the last key, and what in the document holds that key."""
    for path in chosen:
        document = json.loads(TEXT)
        yield path, document, path[-1], get(document, path[:-1])


def of_kind(kind: type) -> list[Path]:
    return [path for path in PATHS if type(get(DOCUMENT, path)) is kind]


# One mutation at every place -----------------------------------------------------------------------


def test_what_is_mutated_is_valid_and_has_every_codec_and_kind(places_of):
    assert places_of(DOCUMENT) == []
    tags = {get(DOCUMENT, path) for path in PATHS if is_tag(path)}
    assert tags == {record.__struct_config__.tag for record in (*get_args(CodecSpec), *get_args(KeyBitsSpec))}
    for name in NULLABLE:
        values = [get(DOCUMENT, path) for path in PATHS if path[-1] == name]
        assert {value is None for value in values} == {True, False}


def test_a_deleted_field_is_missing(places_of):
    for path, document, key, parent in at_each(MEMBERS):
        del parent[key]
        assert places_of(document) == [pointer(path)]


def test_a_renamed_field_is_both_missing_and_unknown(places_of):
    for path, document, key, parent in at_each(MEMBERS):
        parent[f"{key}_"] = parent.pop(key)
        expected = [pointer(path), pointer(path) + "_"]
        assert places_of(document) == (expected[:1] if is_tag(path) else expected)


def test_an_added_field_is_unknown(places_of):
    for path, document, key, parent in at_each(of_kind(dict)):
        parent[key]["a/b~c"] = None
        assert places_of(document) == [pointer(path) + "/a~1b~0c"]


WRONG_KIND = {
    dict: (None, [], "x", 7),
    list: (None, {}, "x", 7),
    str: (None, 7, True, [], {}, ""),
    bool: (None, 0, 1, "true", [], 1.0),
    int: (None, True, "4", 4.5, [], {}),
    float: (None, True, "4", [], {}),
    type(None): ("4", True, 0, 4.5, []),  # what else a field that may be null holds is none of these
}


def wrong_kinds(path: Path) -> list[Any]:
    wrong = WRONG_KIND[type(get(DOCUMENT, path))]
    return [value for value in wrong if value is not None or path[-1] not in NULLABLE]


def test_a_value_of_another_kind_is_refused(places_of):
    """Two at each place, in turn; every kind against every type is in test_conform.py."""
    for turn, (path, document, key, parent) in enumerate(at_each(PATHS)):
        wrong = wrong_kinds(path)
        for parent[key] in (wrong[turn % len(wrong)], wrong[(turn + 1) % len(wrong)]):
            assert places_of(document) == [pointer(path)], parent[key]


def test_an_integer_written_with_a_fraction_is_refused(places_of):
    for path, document, key, parent in at_each(of_kind(int)):
        parent[key] = float(parent[key])
        assert places_of(document) == [pointer(path)]


def test_an_equal_key_is_refused_even_with_an_equal_value(places_of):
    for path, document, key, parent in at_each(MEMBERS):
        parent["DUPLICATE"] = parent[key]
        text = json.dumps(document).replace('"DUPLICATE"', json.dumps(key))
        assert places_of(text.encode()) == [pointer(path)]


NO_NUMBERS = ("NaN", "1e999", "1" * 5000)  # a constant, a float, an integer; more are in test_strict_json.py


def test_a_number_that_is_none_is_reported_once(places_of):
    """The three take turns, as the same code reads them wherever they stand."""
    for (path, document, key, parent), number in zip(at_each(PATHS), itertools.cycle(NO_NUMBERS), strict=False):
        parent[key] = "NUMBER"
        assert places_of(json.dumps(document).replace('"NUMBER"', number).encode()) == [pointer(path)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_number_of_problems_is_reported_exactly(data, places_of):
    every = [path for path in PATHS if not is_tag(path)]
    chosen = data.draw(st.lists(st.sampled_from(every), min_size=2, max_size=12, unique=True))
    apart = [one for one in chosen if not any(one != other and one[: len(other)] == other for other in chosen)]
    document = copy.deepcopy(DOCUMENT)
    for path in apart:
        get(document, path[:-1])[path[-1]] = wrong_kinds(path)[1]
    assert places_of(document) == sorted(pointer(path) for path in apart)


# Anything at all -----------------------------------------------------------------------------------

TEXTS = st.text('ab0 ~/."\\\n\0\u00e9\u2028\U0001f4a1', max_size=6)
"""Of characters that JSON, pointers and patterns treat in ways of their own; all of Unicode takes seconds to set up."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["mse", "uniform", "norm", "least_squares", "hadamard", "polar", "mean", "none", "metal", "llama", ">=1,<2"]
)


def is_whole_float(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (isinstance(value, float) and value == value // 1) or any(map(is_whole_float, parts))


@settings(max_examples=120)
@given(data=st.data(), value=JSON | WORDS | st.integers(-1, 9))
def test_the_loader_and_the_published_schema_agree(data, value):
    """A document whose shape is right for one is right for the other, whatever finite values stand in it."""
    preset = data.draw(st.sampled_from(DOCUMENT["presets"]))
    document = copy.deepcopy(DOCUMENT | {"presets": [preset]})  # one, as the schema's validator is slow
    path = data.draw(st.sampled_from(list(paths(document))))
    parent = get(document, path[:-1])
    key = data.draw(TEXTS) if data.draw(st.booleans()) and isinstance(parent, dict) else path[-1]
    parent[key] = value
    parsed, problems = parse(json.dumps(document).encode())
    problems += conform(parsed, contract_type())
    schema_says = SCHEMA.is_valid(document)
    if schema_says and problems:  # JSON Schema takes 4.0 for an integer; the contract wants it written 4
        assert is_whole_float(value)
    else:
        assert schema_says == (not problems)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, len(packaged_bytes()) - 1), length=st.integers(0, 20), noise=st.binary(max_size=20))
def test_damaged_bytes_never_raise_anything_else(start, length, noise, places_of):
    data = packaged_bytes()
    places_of(data[:start] + noise + data[start + length :])
