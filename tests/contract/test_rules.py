"""Each rule between fields: what breaks it, where that is reported, and what leaves it in peace."""

import pytest
from tests.contract.by_name import PACKAGED, place, put

from tq_contract.rules import RULES, broken_rules


def copy_of_first(document, section, **changed):
    document[section].append({**document[section][0], **changed})


def appended(section, below=""):
    """The place of an entry that `copy_of_first` has put at the end, or of a member of it."""
    return f"/{section}/{len(PACKAGED[section])}{below}"


def cover(document, **changed):
    """Change the third family, and let the first stage with a smoke test run it too."""
    document["families"][2].update(changed)
    stages = document["certification"]["stages"]
    next(stage for stage in stages if stage["name"] == "llama_smoke")["families"].append("qwen2")


STAGES = "/certification/stages"
POLAR_LEVELS = "/presets/polarquant_exp/parameters/keys/level_bits"
POLAR_KEYS = {
    "codec": "polar",
    "level_bits": [4, 2],
    "gain": "norm",
    "rotation": {"kind": "identity", "seed": 0},
}

BROKEN = {
    "preset_names_are_unique": [
        (lambda d: put(d, "/presets/max_quality/name", "paper_mse"), ["/presets/max_quality/name"]),
        (lambda d: put(d, "/presets/paper_mse/aliases", ["uniform_k4v4"]), ["/presets/paper_mse/aliases/0"]),
        (lambda d: put(d, "/presets/paper_mse/aliases", ["paper_mse"]), ["/presets/paper_mse/aliases/0"]),
        (lambda d: put(d, "/presets/paper_mse/aliases", ["a", "b", "a"]), ["/presets/paper_mse/aliases/2"]),
        (
            lambda d: (put(d, "/presets/paper_mse/aliases", ["a"]), put(d, "/presets/lloyd_k4v4/aliases", ["b", "a"])),
            ["/presets/lloyd_k4v4/aliases/1"],
        ),
    ],
    "family_names_are_unique": [
        (lambda d: put(d, "/families/2/name", "llama"), ["/families/2/name"]),
    ],
    "model_types_have_one_family": [
        (lambda d: put(d, "/families/2/model_types", ["gemma3"]), ["/families/2/model_types/0"]),
        (lambda d: put(d, "/families/0/model_types", ["llama", "llama"]), ["/families/0/model_types/1"]),
    ],
    "coverage_is_listed_once": [
        (lambda d: d["families"][1]["coverage"].append("real-model smoke"), ["/families/1/coverage/3"]),
    ],
    "hooks_are_unique": [
        (lambda d: copy_of_first(d, "hooks"), [appended("hooks")]),
        (lambda d: put(d, "/hooks/0/parameters", ["model", "model"]), ["/hooks/0/parameters/1"]),
    ],
    "packages_are_unique": [
        (lambda d: copy_of_first(d, "packages"), [appended("packages", "/name")]),
        (lambda d: put(d, "/packages/0/public", ["pack", "unpack", "pack"]), ["/packages/0/public/2"]),
    ],
    "workflows_are_unique": [
        (lambda d: copy_of_first(d, "workflows"), [appended("workflows", "/file")]),
        (
            lambda d: put(d, "/workflows/0/jobs", [d["workflows"][0]["jobs"][0]] * 2),
            ["/workflows/0/jobs/1/name"],
        ),
    ],
    "platforms_are_unique": [
        (lambda d: copy_of_first(d, "platforms", role="tested"), [appended("platforms")]),
    ],
    "certification_is_for_apple_silicon": [
        (lambda d: put(d, "/platforms/1/role", "certified"), ["/platforms/1/role"]),
        (lambda d: put(d, "/platforms/0/backend", "cpu"), ["/platforms/0/role"]),
        (lambda d: put(d, "/platforms/2/backend", "metal"), ["/platforms/2/backend"]),
        (lambda d: put(d, "/platforms/0/machine", "x86_64"), ["/platforms/0/backend", "/platforms/0/role"]),
    ],
    "windows_are_not_empty": [
        (lambda d: put(d, "/windows/mlx", ">=0.33,<0.32"), ["/windows/mlx"]),
        (lambda d: put(d, "/windows/mlx_lm", ">=0.32,<0.32.0"), ["/windows/mlx_lm"]),
        (lambda d: put(d, "/windows/python", ">=3.11,<3.9"), ["/windows/python"]),
    ],
    "evidence_fits_status": [
        (lambda d: put(d, "/families/2/status", "allowlisted"), ["/families/2/evidence"]),
        (
            lambda d: put(d, "/families/0/evidence", "none"),
            ["/families/0/coverage", "/families/0/evidence"],
        ),
        (lambda d: put(d, "/families/1/coverage", []), ["/families/1/coverage"]),
        (lambda d: put(d, "/families/2/coverage", ["smoke"]), ["/families/2/coverage"]),
        (lambda d: put(d, "/families/2/evidence", "narrower"), ["/families/2/coverage"]),
    ],
    "scale_search_needs_a_fitted_gain": [
        (
            lambda d: put(d, "/presets/uniform_k4v4/parameters/keys/gain", "norm"),
            ["/presets/uniform_k4v4/parameters/keys/scale_search"],
        ),
        (
            lambda d: put(d, "/presets/lloyd_k4v4/parameters/values/gain", "norm"),
            ["/presets/lloyd_k4v4/parameters/values/scale_search"],
        ),
    ],
    "topk_keeps_no_more_than_a_group": [
        (
            lambda d: put(d, "/presets/legacy_topk/parameters/keys/k", 33),
            ["/presets/legacy_topk/parameters/keys/k"],
        ),
        (
            lambda d: put(d, "/presets/max_quality/parameters/values/group_size", 3),
            ["/presets/max_quality/parameters/values/k"],
        ),
    ],
    "polar_levels_have_codebooks": [
        (lambda d: put(d, POLAR_LEVELS, [1]), [f"{POLAR_LEVELS}/0"]),
        (lambda d: put(d, POLAR_LEVELS, [4, 6, 1, 8]), [f"{POLAR_LEVELS}/1", f"{POLAR_LEVELS}/3"]),
        (lambda d: put(d, POLAR_LEVELS, [4] * 11), [f"{POLAR_LEVELS}/10"]),
    ],
    "key_bits_need_a_number_of_bits": [
        (
            lambda d: put(d, "/presets/equal_noise_k45v4/parameters/keys", POLAR_KEYS),
            ["/presets/equal_noise_k45v4/parameters/key_bits"],
        ),
        (
            lambda d: (
                put(d, "/presets/polarquant_exp/parameters/key_bits", {"kind": "noise", "error": 0.1}),
                put(d, "/presets/polarquant_exp/classification", "supported"),
            ),
            ["/presets/polarquant_exp/parameters/key_bits"],
        ),
    ],
    "paper_facing_presets_follow_the_paper": [
        (
            lambda d: put(d, "/presets/paper_prod_qjl/parameters/key_bits", {"kind": "mean", "mean": 3.5}),
            ["/presets/paper_prod_qjl/parameters/key_bits"],
        ),
        (
            lambda d: put(d, "/presets/polarquant_exp/parameters/values/gain", "least_squares"),
            ["/presets/polarquant_exp/parameters/values/gain"],
        ),
        (
            lambda d: put(d, "/presets/paper_mse/parameters/keys/gain", "least_squares"),
            ["/presets/paper_mse/parameters/keys/gain"],
        ),
        (
            lambda d: put(d, "/presets/paper_mse/parameters/center_keys", True),
            ["/presets/paper_mse/parameters/center_keys"],
        ),
        (
            lambda d: put(d, "/presets/lloyd_k4v4/classification", "paper-facing"),
            [
                "/presets/lloyd_k4v4/parameters/center_keys",
                "/presets/lloyd_k4v4/parameters/keys/gain",
                "/presets/lloyd_k4v4/parameters/keys/scale_search",
                "/presets/lloyd_k4v4/parameters/values/gain",
                "/presets/lloyd_k4v4/parameters/values/scale_search",
            ],
        ),
    ],
    "blocks_of_keys_are_centred": [
        (
            lambda d: put(d, "/presets/legacy_topk/parameters/center_block", 64),
            ["/presets/legacy_topk/parameters/center_block"],
        ),
        (
            lambda d: put(d, "/presets/max_quality/parameters/center_block", 1),
            ["/presets/max_quality/parameters/center_block"],
        ),
    ],
    "blocks_fit_the_tail": [
        (
            lambda d: put(d, "/presets/uniform_k4v4/parameters/block_tokens", 129),
            ["/presets/uniform_k4v4/parameters/block_tokens"],
        ),
        (
            lambda d: put(d, "/presets/uniform_k4v4/parameters/tail_tokens", 0),
            ["/presets/uniform_k4v4/parameters/block_tokens"],
        ),
    ],
    "head_dims_ascend": [
        (lambda d: put(d, "/head_dims", [64, 128, 128]), ["/head_dims/2"]),
        (lambda d: put(d, "/head_dims", [128, 64, 80, 256]), ["/head_dims/1", "/head_dims/2"]),
    ],
    "certification_names_are_unique": [
        (
            lambda d: put(d, f"{STAGES}/memory/artifacts", ["stages/kernels.json"]),
            [f"{STAGES}/kernels/artifacts/0"],
        ),
        (lambda d: put(d, f"{STAGES}/memory/artifacts", ["manifest.json"]), ["/certification/bundle/0"]),
        (lambda d: put(d, f"{STAGES}/memory/name", "persistence"), [f"{STAGES}/memory/name"]),
        (lambda d: copy_of_first(d, "benchmarks"), [appended("benchmarks", "/name")]),
        (
            lambda d: d["certification"]["metrics"].append(d["certification"]["metrics"][0]),
            ["/certification/metrics/22/name"],
        ),
    ],
    "surfaces_and_deviations_are_unique": [
        (lambda d: copy_of_first(d, "secondary_surfaces"), [appended("secondary_surfaces", "/name")]),
        (lambda d: copy_of_first(d, "deviations"), [appended("deviations", "/name")]),
    ],
    "references_lead_somewhere": [
        (lambda d: put(d, f"{STAGES}/kernels/presets", ["lloyd"]), [f"{STAGES}/kernels/presets/0"]),
        (
            lambda d: put(d, f"{STAGES}/persistence/families", ["llama", "gemma", "opt"]),
            [f"{STAGES}/persistence/families/2"],
        ),
        (
            lambda d: put(d, f"{STAGES}/kernels/thresholds/1/metric", "kernel_error"),
            [f"{STAGES}/kernels/thresholds/1/metric"],
        ),
        (lambda d: put(d, "/benchmarks/quality/stage", "quality"), ["/benchmarks/quality/stage"]),
        (
            lambda d: (
                put(d, "/presets/max_quality/name", "uniform_k5v5")
                or put(d, f"{STAGES}/kernels/presets/0", "max_quality")
            ),
            [f"{STAGES}/kernels/presets/0"],
        ),
    ],
    "thresholds_are_of_what_their_stage_runs": [
        (
            lambda d: put(d, f"{STAGES}/memory/thresholds/0/families", ["gemma"]),
            [f"{STAGES}/memory/thresholds/0/families/0"],
        ),
        (
            lambda d: put(d, f"{STAGES}/kernels/thresholds/0/preset", "paper_mse"),
            [f"{STAGES}/kernels/thresholds/0/preset"],
        ),
    ],
    "coverage_is_what_stages_show": [
        (lambda d: d["families"][1]["coverage"].append("long-context stability"), ["/families/1/coverage/3"]),
        (lambda d: d["families"][0]["coverage"].remove("long-context stability"), [f"{STAGES}/long_context/covers/0"]),
        (lambda d: put(d, f"{STAGES}/dense_vs_tq/covers", []), ["/families/0/coverage/4", "/families/1/coverage/2"]),
    ],
}

CASES = [(rule, mutate, places) for rule, cases in BROKEN.items() for mutate, places in cases]


def test_every_rule_has_a_case_that_breaks_it():
    assert [rule.__name__ for rule in RULES] == list(BROKEN)


@pytest.mark.parametrize(("rule", "mutate", "places"), CASES, ids=[f"{case[0]}-{case[2][0]}" for case in CASES])
def test_a_contradiction_is_found_by_its_rule_alone(rule, mutate, places, document, places_of):
    places = sorted(map(place, places))
    mutate(document)
    found = {one.__name__: sorted(problem.place for problem in one(document)) for one in RULES}
    assert {name: at for name, at in found.items() if at} == {rule: places}
    assert places_of(document) == places


def test_both_sides_of_a_repeated_name_are_named(document):
    put(document, "/presets/max_quality/name", "paper_mse")
    (problem,) = broken_rules(document)
    assert problem.message == "'paper_mse' already stands at /presets/0/name"


@pytest.mark.parametrize(
    "mutate",
    [
        lambda d: put(d, "/presets/paper_mse/parameters/tail_tokens", 64),
        lambda d: (
            put(d, "/presets/paper_mse/parameters/tail_tokens", 0),
            put(d, "/presets/paper_mse/parameters/block_tokens", 1),
        ),
        lambda d: put(d, "/presets/paper_mse/parameters/keys/bits", 8),
        lambda d: put(d, "/presets/legacy_topk/parameters/keys/k", 32),
        lambda d: put(d, "/presets/legacy_topk/parameters/values/group_size", 2),
        lambda d: put(d, "/presets/equal_noise_k4v4/parameters/values", POLAR_KEYS),
        *(
            lambda d, name=name: put(d, f"/presets/{name}/parameters/key_bits", {"kind": "noise", "error": 0.1})
            for name in ("uniform_k4v4", "lloyd_k4v4", "legacy_topk")
        ),
        lambda d: cover(d, evidence="narrower", coverage=["real-model smoke"]),
        lambda d: cover(d, evidence="narrower", coverage=["real-model smoke"], status="allowlisted"),
        lambda d: put(d, "/certification/stages/kernels/thresholds/0/preset", "lloyd_k4v4"),
        lambda d: put(d, "/benchmarks/quality/stage", None),
        lambda d: put(d, "/platforms/0/role", "tested"),
        lambda d: put(d, "/presets/lloyd_k4v4/classification", "research-only"),
    ],
)
def test_what_no_rule_forbids_is_accepted(mutate, document, places_of):
    mutate(document)
    assert places_of(document) == []


ODD = {
    "presets": [
        {"parameters": {"keys": None, "key_bits": {}}},
        {"parameters": {"keys": {"codec": "polar"}, "key_bits": 4}},
        {"parameters": {"keys": {"codec": "topk", "k": 3}, "values": {"codec": "topk", "k": True, "group_size": 0}}},
        {"parameters": {"keys": {"codec": "topk", "k": "9", "group_size": 2}, "values": {"k": 9, "group_size": 2}}},
        {"classification": "paper-facing", "parameters": {"key_bits": [{}]}},
    ],
    "head_dims": [True, "64", None],
    "families": [{"name": "llama", "coverage": ["a", 3]}, {"coverage": ["a"]}, 4],
    "certification": {"stages": [{"families": 3, "presets": [4], "thresholds": [{"preset": "a", "families": [[]]}]}]},
    "benchmarks": [{"stage": "nowhere"}],
}


@pytest.mark.parametrize(
    "document", [None, 7, [], {}, {"presets": {}}, {"presets": [None, [], {"parameters": 3}]}, ODD]
)
def test_parts_of_another_shape_are_passed_over(document):
    assert list(broken_rules(document)) == []
