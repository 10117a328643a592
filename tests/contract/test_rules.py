"""Each rule between fields: what breaks it, where that is reported, and what leaves it in peace."""

import pytest

from tq_contract.rules import RULES, broken_rules

KEYS = ("presets", 0, "parameters", "keys")


def put(document, *path_and_value):
    *above, last, value = path_and_value
    for key in above:
        document = document[key]
    document[last] = value


def copy_of_first(document, section, **changed):
    document[section].append({**document[section][0], **changed})


BROKEN = {
    "preset_names_are_unique": [
        (lambda d: put(d, "presets", 1, "name", "paper_mse"), ["/presets/1/name"]),
        (lambda d: put(d, "presets", 0, "aliases", ["uniform_k4v4"]), ["/presets/0/aliases/0"]),
        (lambda d: put(d, "presets", 0, "aliases", ["paper_mse"]), ["/presets/0/aliases/0"]),
        (lambda d: put(d, "presets", 0, "aliases", ["a", "b", "a"]), ["/presets/0/aliases/2"]),
        (
            lambda d: (put(d, "presets", 0, "aliases", ["a"]), put(d, "presets", 2, "aliases", ["b", "a"])),
            ["/presets/2/aliases/1"],
        ),
    ],
    "family_names_are_unique": [
        (lambda d: put(d, "families", 2, "name", "llama"), ["/families/2/name"]),
    ],
    "model_types_have_one_family": [
        (lambda d: put(d, "families", 2, "model_types", ["gemma3"]), ["/families/2/model_types/0"]),
        (lambda d: put(d, "families", 0, "model_types", ["llama", "llama"]), ["/families/0/model_types/1"]),
    ],
    "coverage_is_listed_once": [
        (lambda d: put(d, "families", 1, "coverage", ["smoke", "sweep", "smoke"]), ["/families/1/coverage/2"]),
    ],
    "hooks_are_unique": [
        (lambda d: copy_of_first(d, "hooks"), ["/hooks/3"]),
        (lambda d: put(d, "hooks", 0, "parameters", ["model", "model"]), ["/hooks/0/parameters/1"]),
    ],
    "platforms_are_unique": [
        (lambda d: copy_of_first(d, "platforms", role="tested"), ["/platforms/3"]),
    ],
    "certification_is_for_apple_silicon": [
        (lambda d: put(d, "platforms", 1, "role", "certified"), ["/platforms/1/role"]),
        (lambda d: put(d, "platforms", 0, "backend", "cpu"), ["/platforms/0/role"]),
        (lambda d: put(d, "platforms", 2, "backend", "metal"), ["/platforms/2/backend"]),
        (lambda d: put(d, "platforms", 0, "machine", "x86_64"), ["/platforms/0/backend", "/platforms/0/role"]),
    ],
    "windows_are_not_empty": [
        (lambda d: put(d, "windows", "mlx", ">=0.33,<0.32"), ["/windows/mlx"]),
        (lambda d: put(d, "windows", "mlx_lm", ">=0.32,<0.32.0"), ["/windows/mlx_lm"]),
        (lambda d: put(d, "windows", "python", ">=3.11,<3.9"), ["/windows/python"]),
    ],
    "evidence_fits_status": [
        (lambda d: put(d, "families", 2, "status", "allowlisted"), ["/families/2/evidence"]),
        (
            lambda d: put(d, "families", 0, "evidence", "none"),
            ["/families/0/coverage", "/families/0/evidence"],
        ),
        (lambda d: put(d, "families", 1, "coverage", []), ["/families/1/coverage"]),
        (lambda d: put(d, "families", 2, "coverage", ["smoke"]), ["/families/2/coverage"]),
        (lambda d: put(d, "families", 2, "evidence", "narrower"), ["/families/2/coverage"]),
    ],
    "scale_search_needs_least_squares": [
        (
            lambda d: put(d, "presets", 1, "parameters", "keys", "gain", "norm"),
            ["/presets/1/parameters/keys/scale_search"],
        ),
        (
            lambda d: put(d, "presets", 2, "parameters", "values", "gain", "norm"),
            ["/presets/2/parameters/values/scale_search"],
        ),
    ],
    "paper_facing_presets_follow_the_paper": [
        (lambda d: put(d, *KEYS, "gain", "least_squares"), ["/presets/0/parameters/keys/gain"]),
        (lambda d: put(d, "presets", 0, "parameters", "center_keys", True), ["/presets/0/parameters/center_keys"]),
        (
            lambda d: put(d, "presets", 2, "classification", "paper-facing"),
            [
                "/presets/2/parameters/center_keys",
                "/presets/2/parameters/keys/gain",
                "/presets/2/parameters/keys/scale_search",
                "/presets/2/parameters/values/gain",
                "/presets/2/parameters/values/scale_search",
            ],
        ),
    ],
    "blocks_fit_the_tail": [
        (
            lambda d: put(d, "presets", 1, "parameters", "block_tokens", 129),
            ["/presets/1/parameters/block_tokens"],
        ),
        (lambda d: put(d, "presets", 1, "parameters", "tail_tokens", 0), ["/presets/1/parameters/block_tokens"]),
    ],
}

CASES = [(rule, mutate, places) for rule, cases in BROKEN.items() for mutate, places in cases]


def test_every_rule_has_a_case_that_breaks_it():
    assert [rule.__name__ for rule in RULES] == list(BROKEN)


@pytest.mark.parametrize(("rule", "mutate", "places"), CASES, ids=[f"{case[0]}-{case[2][0]}" for case in CASES])
def test_a_contradiction_is_found_by_its_rule_alone(rule, mutate, places, document, places_of):
    mutate(document)
    found = {one.__name__: sorted(problem.place for problem in one(document)) for one in RULES}
    assert {name: at for name, at in found.items() if at} == {rule: places}
    assert places_of(document) == places


def test_both_sides_of_a_repeated_name_are_named(document):
    document["presets"][2]["name"] = "paper_mse"
    (problem,) = broken_rules(document)
    assert problem.message == "'paper_mse' already stands at /presets/0/name"


@pytest.mark.parametrize(
    "mutate",
    [
        lambda d: put(d, "presets", 0, "parameters", "tail_tokens", 64),
        lambda d: d["presets"][0]["parameters"].update(tail_tokens=0, block_tokens=1),
        lambda d: put(d, *KEYS, "bits", 8),
        lambda d: d["families"][2].update(evidence="narrower", coverage=["smoke"]),
        lambda d: d["families"][2].update(evidence="narrower", coverage=["smoke"], status="allowlisted"),
        lambda d: put(d, "platforms", 0, "role", "tested"),
        lambda d: put(d, "presets", 2, "classification", "research-only"),
    ],
)
def test_what_no_rule_forbids_is_accepted(mutate, document, places_of):
    mutate(document)
    assert places_of(document) == []


@pytest.mark.parametrize("document", [None, 7, [], {}, {"presets": {}}, {"presets": [None, [], {"parameters": 3}]}])
def test_parts_of_another_shape_are_passed_over(document):
    assert list(broken_rules(document)) == []
