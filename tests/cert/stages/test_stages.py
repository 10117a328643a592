"""Stages run to their end on tiny models and keep every gate that does not depend on what a model knows."""

import pytest

KEPT = (
    "preflight",
    "cache_roundtrip",
    "attention_equivalence",
    "path_proof",
    "llama_smoke",
    "gemma_smoke",
    "polarquant",
    "paper_mse_batch",
    "persistence",
)


@pytest.mark.parametrize("stage", KEPT)
def test_a_stage_without_a_regression_keeps_every_gate(measured, stage):
    result = measured(stage)
    assert not result.errors
    assert not result.broken, [gate for gate in result.gates if not gate.kept]
    assert result.recorder.cases


def test_the_sweep_measures_three_lengths_and_leaves_a_table(measured):
    from tq_cert.stages.sizes import Sizes

    short = Sizes(chunk=256, long_prompt=400, sweep_prompts=(256, 300), sweep_steps=8)
    result = measured("dense_vs_tq", short)
    assert not result.errors
    assert result.broken == {"decode_time_ratio"}  # which takes 4096 tokens
    (table,) = result.recorder.artifacts.values()
    assert table.decode().count("| lloyd_k4v4 |") == 6
    loads = [value for one in result.recorder.series if one.name == "load_average" for value in one.values]
    assert len(loads) == 6
    assert f"Load average meanwhile: {min(loads):.1f} to {max(loads):.1f} on" in table.decode()
