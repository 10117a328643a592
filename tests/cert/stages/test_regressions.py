"""Every gate can fail: a regression of the runtime breaks the gates that are there for it, and no others.

Each regression names the stages that are run with it and the metrics that have to break there, exactly: stages that it
has nothing to do with are among them, with nothing.
"""

import time
from itertools import count

import mlx.core as mx
import msgspec
import pytest
from tests.cert.stages.conftest import LLAMA, TINY

import tq_contract
import tq_core.mse
import tq_core.polar
import tq_mlx
from tq_cert.lanes.quality import caches
from tq_cert.stages import kernels
from tq_cert.stages.sizes import Sizes
from tq_mlx import attention, generation, segments
from tq_mlx.batch import BatchTurboQuantKVCache
from tq_mlx.kernels.launch import INPUTS
from tq_mlx.key_bits import MeanBits

LEAN = Sizes(chunk=128, long_prompt=1536, memory_steps=2)
WINDOWS = Sizes(quality_lengths=(24,), quality_windows=8)
SHORT = {
    "long_context": (Sizes(chunk=128, long_prompt=400, long_tokens=70), {"context_tokens", "generated_tokens"}),
    "dense_vs_tq": (Sizes(chunk=256, long_prompt=300, sweep_prompts=(256,), sweep_steps=8),
                    {"prompt_lengths", "decode_time_ratio"}),
}  # fmt: skip
"""Stages that are run with less than their gates ask for, and the gates that break for that."""

REGRESSIONS = {}
GATES = set()
"""Every stage and metric that something here breaks."""


def regression(**stages):
    """Register a function that breaks the runtime, with stage → metrics that break there."""

    def register(function):
        REGRESSIONS[function.__name__] = (function, {name: set(metrics.split()) for name, metrics in stages.items()})
        return breaks(**stages)(function)

    return register


def breaks(**stages):
    """Say of a test of its own which gates it breaks."""
    GATES.update((stage, metric) for stage, metrics in stages.items() for metric in metrics.split())
    return lambda function: function


def test_something_here_breaks_every_gate_of_the_contract():
    stages = tq_contract.load().certification.stages
    assert {(stage.name, threshold.metric) for stage in stages for threshold in stage.thresholds} == GATES


@regression(cache_roundtrip="unequal_arrays", persistence="logit_difference", path_proof="", attention_equivalence="")
def loading_rounds_the_tail(monkeypatch):
    original = tq_mlx.TurboQuantKVCache.from_state.__func__

    def from_state(cls, state):
        cache = original(cls, state)
        cache.tail.values = cache.tail.values * 1.001
        return cache

    monkeypatch.setattr(tq_mlx.TurboQuantKVCache, "from_state", classmethod(from_state))


@regression(attention_equivalence="attention_error", cache_roundtrip="", polarquant="", persistence="")
def the_sum_of_values_stays_rotated(monkeypatch):
    original = attention.attend_at_once

    def attend_at_once(query, masks, pieces, logits):
        dense, rotated = original(query, masks, pieces, logits)
        packed = [piece for piece in pieces if isinstance(piece, attention.PackedPiece)]
        if packed:
            rotated = packed[0].value_codec.rotation.apply(rotated)  # what follows takes only this one back
        return dense, rotated

    monkeypatch.setattr(attention, "attend_at_once", attend_at_once)


@regression(path_proof="layers_not_read mean_kl", cache_roundtrip="", attention_equivalence="")
def the_hooks_are_off(monkeypatch):
    tq_mlx.uninstall()


@regression(
    **dict.fromkeys(("path_proof", "llama_smoke", "polarquant", "long_context", "dense_vs_tq"), "layers_not_read"),
    cache_roundtrip="", attention_equivalence="",
)  # fmt: skip
def attention_decodes_the_history(monkeypatch):
    def dense(queries, keys, values, cache, scale, mask, sinks=None):
        return mx.fast.scaled_dot_product_attention(queries, keys.decode(), values.decode(), scale=scale, mask=mask)

    monkeypatch.setattr(generation, "attend_over_codes", dense)


@regression(
    path_proof="layers_not_read mean_kl", gemma_smoke="layers_not_read", paper_mse_batch="layers_not_read",
    cache_roundtrip="",
)  # fmt: skip
def the_upgrade_leaves_the_cache_dense(monkeypatch):
    monkeypatch.setattr(tq_mlx, "upgrade_cache_list", lambda *arguments, **options: [])


@regression(**dict.fromkeys(("llama_smoke", "gemma_smoke", "polarquant"), "non_finite_logits"), cache_roundtrip="")
def attention_overflows(monkeypatch):
    original = generation.attend_over_codes
    monkeypatch.setattr(generation, "attend_over_codes", lambda *a, **o: original(*a, **o) + mx.array(mx.nan))


@regression(long_context="non_finite_logits", llama_smoke="non_finite_logits")
def attention_of_the_last_layer_overflows(monkeypatch):
    """Where all layers overflow, encoding the next keys is refused before the answer is long."""
    original, calls = generation.attend_over_codes, count()

    def attend(*arguments, **options):
        last = next(calls) % LLAMA["num_hidden_layers"] == LLAMA["num_hidden_layers"] - 1
        return original(*arguments, **options) + mx.array(mx.nan if last else 0.0)

    monkeypatch.setattr(generation, "attend_over_codes", attend)


@regression(polarquant="key_error value_error", attention_equivalence="", cache_roundtrip="", path_proof="")
def polar_angles_are_those_of_another_level(monkeypatch):
    original = tq_core.polar.directions
    monkeypatch.setattr(tq_core.polar, "directions", lambda level, bits: original(max(level, 3), bits))


@regression(paper_mse_batch="logit_difference", cache_roundtrip="", path_proof="", persistence="")
def rows_of_a_batch_are_mixed_up(monkeypatch):
    original = BatchTurboQuantKVCache.merge.__func__
    monkeypatch.setattr(
        BatchTurboQuantKVCache, "merge", classmethod(lambda cls, caches: original(cls, list(caches)[::-1]))
    )


@regression(preflight="failed_checks", cache_roundtrip="", path_proof="")
def a_variable_overrides_the_runtime(monkeypatch):
    monkeypatch.setenv("TURBOQUANT_HOOKS", "on")


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_regression_breaks_its_own_gates_and_no_others(measured, monkeypatch, name):
    break_it, stages = REGRESSIONS[name]
    try:
        break_it(monkeypatch)
        found = {stage: broken(measured, stage) for stage in stages}
    finally:
        monkeypatch.undo()
        tq_mlx.install()
    assert found == stages


def broken(measured, stage):
    """The gates that break, but for those that the stage's sizes break."""
    sizes, for_sizes = SHORT.get(stage, (TINY, set()))
    return measured(stage, sizes).broken - for_sizes


@breaks(long_context="context_tokens generated_tokens", dense_vs_tq="prompt_lengths")
@pytest.mark.parametrize("stage", SHORT)
def test_a_stage_that_measures_too_little_fails_for_that_alone(measured, stage):
    sizes, for_sizes = SHORT[stage]
    result = measured(stage, sizes)
    assert not result.errors
    assert result.broken == for_sizes


@breaks(preset_quality="windows")
def test_a_window_too_few_fails_the_quality(measured, tiny_sources):
    llama, presets = {"llama": tiny_sources["llama"]}, ("uniform_k4v4",)
    before = measured("preset_quality", WINDOWS, llama, presets)
    after = measured("preset_quality", msgspec.structs.replace(WINDOWS, quality_windows=7), llama, presets)
    assert kept(before) - kept(after) == {("windows", "llama", "uniform_k4v4")}


def kept(result):
    return {(gate.metric, gate.family, gate.preset) for gate in result.gates if gate.kept}


@breaks(preset_quality="mean_kl_ratio")
def test_a_wrong_codebook_breaks_the_quality_of_the_presets_that_use_it(measured, offset_llama, monkeypatch):
    """It is wrong in scores and in what codes decode to alike: attention still equals that over the decoded history."""
    presets = ("uniform_k4v4", "lloyd_k4v4")
    before = measured("preset_quality", sources=offset_llama, presets=presets)
    original = tq_core.mse.lloyd_max_values
    monkeypatch.setattr(tq_core.mse, "lloyd_max_values", lambda codes, bits: original(codes, bits) * 1.5)
    after = measured("preset_quality", sources=offset_llama, presets=presets)
    assert kept(before) - kept(after) == {("mean_kl_ratio", "llama", "lloyd_k4v4")}
    assert not measured("attention_equivalence").broken


@breaks(preset_quality="mean_kl mean_kl_ratio")
def test_an_evaluation_of_dense_caches_has_no_quality(measured, offset_llama, monkeypatch):
    presets = ("uniform_k4v4",)
    before = measured("preset_quality", sources=offset_llama, presets=presets)
    monkeypatch.setattr(caches, "compressed", lambda dense, config, model, scope: dense)
    after = measured("preset_quality", sources=offset_llama, presets=presets)
    lost = {("mean_kl", "llama", "uniform_k4v4"), ("mean_kl_ratio", "llama", "uniform_k4v4")}
    assert kept(before) - kept(after) == lost
    assert "exactly zero" in next(iter(after.errors.values()))


@breaks(preset_quality="p99_kl flip_rate")
def test_some_wrong_positions_break_the_tail_and_the_flips(measured, calm_llama, monkeypatch):
    presets = ("lloyd_k4v4",)
    before = measured("preset_quality", sources=calm_llama, presets=presets)
    original = generation.attend_over_codes

    def attend(*arguments, **options):
        out = original(*arguments, **options)
        return mx.where((mx.arange(out.shape[2]) % 10 == 0)[:, None], -out, out)

    monkeypatch.setattr(generation, "attend_over_codes", attend)
    after = measured("preset_quality", sources=calm_llama, presets=presets)
    assert kept(before) - kept(after) == {("p99_kl", "llama", "lloyd_k4v4"), ("flip_rate", "llama", "lloyd_k4v4")}


@breaks(preset_quality="stored_bits")
def test_more_bits_than_the_budget_break_the_size_of_equal_noise_presets(measured, offset_llama, monkeypatch):
    presets = ("uniform_k4v4", "equal_noise_k4v4")
    before = measured("preset_quality", sources=offset_llama, presets=presets)
    original = MeanBits.bits
    monkeypatch.setattr(MeanBits, "bits", lambda self, norms: [bits + 1 for bits in original(self, norms)])
    after = measured("preset_quality", sources=offset_llama, presets=presets)
    assert kept(before) - kept(after) == {("stored_bits", "llama", "equal_noise_k4v4")}


@breaks(memory="peak_memory_ratio cache_bytes_ratio context_tokens")
def test_leaks_break_the_gates_of_memory(measured, deep_llama, monkeypatch):
    """Capacity that grows too far costs bytes, and more while it is read; a dense copy that somebody keeps, a peak."""

    def kept_of_uniform():
        result = measured("memory", sizes=LEAN, sources=deep_llama, presets=("uniform_k4v4",))
        return {metric for metric, _, preset in kept(result) if preset == "uniform_k4v4"}

    assert kept_of_uniform() == {"peak_memory_ratio", "cache_bytes_ratio"}  # LEAN has too few tokens of context
    with monkeypatch.context() as patch:
        patch.setattr(segments, "PACKED_STEP", 4096)
        assert kept_of_uniform() == set()
    held = []
    original = tq_mlx.TurboQuantKVCache.append

    def append(self, keys, values):
        held.extend((keys * 1, values * 1))
        mx.eval(held)
        original(self, keys, values)

    monkeypatch.setattr(tq_mlx.TurboQuantKVCache, "append", append)
    assert kept_of_uniform() == {"cache_bytes_ratio"}


@breaks(dense_vs_tq="decode_time_ratio")
def test_slowed_attention_breaks_the_decode_time(measured, offset_llama, monkeypatch):
    """Slowed by far more than anything else that a machine may do meanwhile."""
    original = generation.attend_over_codes

    def slow(*arguments, **options):
        time.sleep(0.2)
        return original(*arguments, **options)

    monkeypatch.setattr(generation, "attend_over_codes", slow)
    result = measured("dense_vs_tq", sources=offset_llama, presets=("uniform_k4v4",))
    assert ("decode_time_ratio", "llama", "uniform_k4v4") not in kept(result)
    assert ("layers_not_read", "llama", "uniform_k4v4") in kept(result)


@breaks(kernels="kernel_error_float32 kernel_error_bfloat16")
def test_gains_of_another_token_break_the_kernels(measured, executor, monkeypatch):
    """The stage as a Mac runs it, but for the executor in the GPU's place."""
    result = measured("kernels")
    assert (result.errors, result.broken) == ({}, set())

    def run_on(dialect):
        def run(call, inputs):
            if call.entry == "attend":
                place = INPUTS["attend"].index("key_gain")
                inputs = [*inputs[:place], mx.roll(inputs[place], 1, axis=2), *inputs[place + 1 :]]
            return original(dialect)(call, inputs)

        return run

    original = kernels.run_on
    monkeypatch.setattr(kernels, "run_on", run_on)
    assert measured("kernels").broken == {"kernel_error_float32", "kernel_error_bfloat16"}
