from pathlib import Path

import msgspec
import pytest

from tq_cert.errors import OptionError
from tq_cert.lanes.quality.document import check_alike, page, read
from tq_contract import load

ROOT = Path(__file__).parents[2]
REPORTS = list(read(ROOT / "docs" / "measurements" / "quality"))
ROWS = {
    model: {row.method: row for report in REPORTS if report.model.model_type == model for row in report.rows}
    for model in ("llama", "qwen2", "gemma3_text")
}
LIMITS = {  # stored bits → KL in units of mlx:kv4, on SmolLM2, Qwen2.5 and Gemma 3
    4.55: (0.13, 0.03, 0.13),
    4.35: (0.18, 0.05, 0.25),
    3.6: (0.5, 0.12, 0.45),
    3.3: (0.8, 0.25, 0.85),
}


def test_the_page_is_what_the_reports_say():
    assert (ROOT / "docs" / "quality.md").read_text() == page(REPORTS)


def test_every_preset_was_measured_as_the_contract_has_it():
    for rows in ROWS.values():
        for preset in load().presets:
            parameters = msgspec.json.decode(msgspec.json.encode(preset.parameters))
            measured = rows[f"preset:{preset.name}"].parameters
            shared = measured.keys() & parameters.keys()
            assert shared == parameters.keys() - {"sliding_layers"}
            assert {name: measured[name] for name in shared} == {name: parameters[name] for name in shared}


@pytest.mark.parametrize(("bits", "limits"), LIMITS.items())
def test_one_preset_keeps_the_limits_on_all_three_models(bits, limits):
    def keeps(name):
        return all(
            rows[name].stored_bits.model16 <= bits and rows[name].kl.mean <= limit * rows["mlx:kv4"].kl.mean
            for rows, limit in zip(ROWS.values(), limits, strict=True)
        )

    assert any(keeps(f"preset:{preset.name}") for preset in load().presets)


def test_on_qwen_half_the_bits_beat_mlx_lms_eight():
    rows = ROWS["qwen2"]
    assert rows["preset:equal_noise_k4v4"].stored_bits.model16 <= 4.35
    assert rows["preset:equal_noise_k4v4"].kl.mean < rows["mlx:kv8"].kl.mean


@pytest.mark.parametrize("model", ["llama", "gemma3_text"])
def test_no_supported_preset_is_beaten_at_fewer_bits_on_an_allowlisted_family(model):
    rows = {preset: ROWS[model][f"preset:{preset.name}"] for preset in load().presets}
    for preset, row in rows.items():
        if preset.classification == "supported":
            fewer = [other for other in rows.values() if other.stored_bits.model16 < row.stored_bits.model16]
            assert all(other.kl.mean > row.kl.mean for other in fewer)


@pytest.mark.parametrize("model", ROWS)
def test_unbiased_scores_cost_more_bits_and_attend_worse(model):
    """On every model, and by more than both intervals."""
    biased, unbiased = (ROWS[model][f"preset:{name}"] for name in ("paper_mse", "paper_prod_qjl"))
    assert unbiased.stored_bits.model16 > biased.stored_bits.model16
    assert unbiased.kl.interval[0] > biased.kl.interval[1]


@pytest.mark.parametrize("model", ROWS)
def test_the_papers_forms_of_more_than_three_and_a_half_bits_are_not_neutral_on_small_models(model):
    for preset in load().presets:
        if preset.classification == "paper-facing":
            row = ROWS[model][f"preset:{preset.name}"]
            assert row.stored_bits.model16 > 3.5
            assert row.perplexity_change > 0.25


def test_reports_of_other_weights_are_not_put_in_one_table():
    first = REPORTS[0]
    other = msgspec.structs.replace(first, model=msgspec.structs.replace(first.model, weights_sha256="0" * 64))
    with pytest.raises(OptionError, match="differ in weights"):
        check_alike([first, other])
