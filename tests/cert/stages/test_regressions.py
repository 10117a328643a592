"""Every gate can fail: a regression of the runtime breaks the gates that are there for it, and no others.

Each regression names the stages that are run with it and the metrics that have to break there, exactly: stages that it
has nothing to do with are among them, with nothing.
"""

import time

import mlx.core as mx
import pytest

import tq_core.mse
import tq_core.polar
import tq_mlx
from tq_cert.stages.sizes import Sizes
from tq_mlx import attention, generation, segments
from tq_mlx.batch import BatchTurboQuantKVCache
from tq_mlx.key_bits import MeanBits

LEAN = Sizes(chunk=128, long_prompt=1536, memory_steps=2)
REGRESSIONS = {}


def regression(**stages):
    """Register a function that breaks the runtime, with stage → metrics that break there."""

    def register(function):
        REGRESSIONS[function.__name__] = (function, {name: set(metrics.split()) for name, metrics in stages.items()})
        return function

    return register


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


@regression(path_proof="layers_not_read", llama_smoke="layers_not_read", cache_roundtrip="", attention_equivalence="")
def attention_decodes_the_history(monkeypatch):
    def dense(queries, keys, values, cache, scale, mask, sinks=None):
        return mx.fast.scaled_dot_product_attention(queries, keys.decode(), values.decode(), scale=scale, mask=mask)

    monkeypatch.setattr(generation, "attend_over_codes", dense)


@regression(path_proof="layers_not_read mean_kl", gemma_smoke="layers_not_read", cache_roundtrip="")
def the_upgrade_leaves_the_cache_dense(monkeypatch):
    monkeypatch.setattr(tq_mlx, "upgrade_cache_list", lambda *arguments, **options: [])


@regression(
    llama_smoke="non_finite_logits", gemma_smoke="non_finite_logits", cache_roundtrip="", polarquant="non_finite_logits"
)
def attention_overflows(monkeypatch):
    original = generation.attend_over_codes
    monkeypatch.setattr(generation, "attend_over_codes", lambda *a, **o: original(*a, **o) + mx.array(mx.nan))


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
        found = {stage: measured(stage).broken for stage in stages}
    finally:
        monkeypatch.undo()
        tq_mlx.install()
    assert found == stages


def kept(result):
    return {(gate.metric, gate.family, gate.preset) for gate in result.gates if gate.kept}


def test_a_wrong_codebook_breaks_the_quality_of_the_presets_that_use_it(measured, offset_llama, monkeypatch):
    """It is wrong in scores and in what codes decode to alike: attention still equals that over the decoded history."""
    presets = ("uniform_k4v4", "lloyd_k4v4")
    before = measured("preset_quality", sources=offset_llama, presets=presets)
    original = tq_core.mse.lloyd_max_values
    monkeypatch.setattr(tq_core.mse, "lloyd_max_values", lambda codes, bits: original(codes, bits) * 1.5)
    after = measured("preset_quality", sources=offset_llama, presets=presets)
    assert kept(before) - kept(after) == {("mean_kl_ratio", "llama", "lloyd_k4v4")}
    assert not measured("attention_equivalence").broken


def test_more_bits_than_the_budget_break_the_size_of_equal_noise_presets(measured, offset_llama, monkeypatch):
    presets = ("uniform_k4v4", "equal_noise_k4v4")
    before = measured("preset_quality", sources=offset_llama, presets=presets)
    original = MeanBits.bits
    monkeypatch.setattr(MeanBits, "bits", lambda self, norms: [bits + 1 for bits in original(self, norms)])
    after = measured("preset_quality", sources=offset_llama, presets=presets)
    assert kept(before) - kept(after) == {("stored_bits", "llama", "equal_noise_k4v4")}


def test_leaks_break_the_gates_of_memory(measured, deep_llama, monkeypatch):
    """Capacity that grows too far costs bytes, and more while it is read; a dense copy that somebody keeps, a peak."""

    def kept_of_uniform():
        result = measured("memory", sizes=LEAN, sources=deep_llama, presets=("uniform_k4v4",))
        return {metric for metric, _, preset in kept(result) if preset == "uniform_k4v4"}

    before = kept_of_uniform()
    assert before == {"peak_memory_ratio", "cache_bytes_ratio"}
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
