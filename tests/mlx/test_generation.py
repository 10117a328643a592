"""mlx-lm's own generation on small random models, compressed by keyword."""

import importlib

import mlx.core as mx
import mlx_lm
import pytest
from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

import tq_mlx
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, UnsupportedFamilyError, status

CONFIG = TurboQuantConfig.from_preset("lloyd_k4v4")
PROMPT = [1 + index * 7 % 60 for index in range(300)]


def steps(model, cache=None, **kwargs):
    generate_step = importlib.import_module("mlx_lm.generate").generate_step
    return list(generate_step(mx.array(PROMPT), model, prompt_cache=cache, max_tokens=12, **kwargs))


@pytest.mark.parametrize(
    "options",
    [{}, {"kv_bits": 4, "quantized_kv_start": 100, "prefill_step_size": 64}, {"max_kv_size": 64}],
    ids=["dense", "quantized", "rotating"],
)
def test_without_a_configuration_nothing_changes(tiny_llama, options):
    hooked = steps(tiny_llama, **options)
    tq_mlx.uninstall()
    plain = steps(tiny_llama, **options)
    assert [token for token, _ in hooked] == [token for token, _ in plain]
    assert all(mx.array_equal(one[1], two[1]) for one, two in zip(hooked, plain, strict=True))


def test_generate_compresses_by_itself(tiny_llama, tiny_tokenizer):
    cache = make_prompt_cache(tiny_llama)
    text = mlx_lm.generate(
        tiny_llama, tiny_tokenizer, PROMPT, max_tokens=12, prompt_cache=cache, turboquant_config=CONFIG
    )
    assert text
    assert all(type(layer) is TurboQuantKVCache for layer in cache)
    # Prefill leaves one prompt token to the decode loop, which runs one step ahead of what it yields.
    assert [layer.codes_read for layer in status(cache).layers] == [13, 13]
    assert cache[0].offset == len(PROMPT) + 12


@pytest.mark.parametrize("start", [0, 100, 299, 300, 305])
def test_the_upgrade_happens_when_the_threshold_is_crossed(tiny_llama, start):
    cache = make_prompt_cache(tiny_llama)
    seen = []
    generate_step = importlib.import_module("mlx_lm.generate").generate_step
    for _ in generate_step(
        mx.array(PROMPT),
        tiny_llama,
        prompt_cache=cache,
        max_tokens=12,
        prefill_step_size=64,
        prompt_progress_callback=lambda done, total: seen.append((done, type(cache[0]).__name__)),
        turboquant_config=CONFIG,
        turboquant_start=start,
    ):
        seen.append((cache[0].offset, type(cache[0]).__name__))
    for offset, kind in seen:
        assert kind == ("TurboQuantKVCache" if offset >= start else "KVCache"), seen
    assert type(cache[0]) is TurboQuantKVCache


def test_what_is_generated_is_close_to_the_dense_run(tiny_llama):
    dense, compressed = steps(tiny_llama), steps(tiny_llama, turboquant_config=CONFIG)
    moved = [mx.abs(one[1] - two[1]).max().item() for one, two in zip(dense, compressed, strict=True)]
    assert 0 < max(moved) < 0.1  # an exact zero would mean that the codes were not read


def test_make_prompt_cache_takes_a_configuration(tiny_llama, tiny_gemma):
    make = importlib.import_module("mlx_lm.models.cache").make_prompt_cache
    assert [type(layer) for layer in make(tiny_llama)] == [KVCache] * 2
    assert [type(layer) for layer in make(tiny_llama, turboquant_config=CONFIG)] == [TurboQuantKVCache] * 2
    types = [type(layer) for layer in make(tiny_gemma, turboquant_config=CONFIG)]
    assert types == [RotatingKVCache, RotatingKVCache, TurboQuantKVCache]


def test_gemma_generates_with_its_global_layers_compressed(tiny_gemma):
    cache = make_prompt_cache(tiny_gemma)
    assert len(steps(tiny_gemma, cache, turboquant_config=CONFIG)) == 12
    assert [layer.codes_read > 0 for layer in status(cache).layers] == [False, False, True]


def test_a_model_outside_the_contract_is_refused_before_anything_runs(tiny_llama, monkeypatch):
    monkeypatch.setattr(tiny_llama, "model_type", "mamba")
    cache = make_prompt_cache(tiny_llama)
    with pytest.raises(UnsupportedFamilyError, match="'mamba'"):
        steps(tiny_llama, cache, turboquant_config=CONFIG)
    assert all(layer.empty() for layer in cache)


def test_the_callers_progress_is_reported(tiny_llama):
    calls = []
    steps(tiny_llama, prompt_progress_callback=lambda *call: calls.append(call), turboquant_config=CONFIG)
    assert calls == [(0, 300), (299, 300), (300, 300)]
