"""A model that makes compressed caches itself: whoever asks for them gets them, and nothing else changes."""

from dataclasses import replace

import mlx.core as mx
import pytest
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

from lively_llama import lively_llama
from tq_mlx import (
    ConfigError,
    TurboQuantConfig,
    TurboQuantKVCache,
    UnsupportedFamilyError,
    compress_by_default,
    dense_by_default,
    upgrade_cache_list,
)

LLOYD = TurboQuantConfig.from_preset("lloyd_k4v4")
EQUAL_NOISE = TurboQuantConfig.from_preset("equal_noise_k35v3")
TOKENS = [(7 * place) % 90 for place in range(300)]


@pytest.fixture
def model():
    return lively_llama(layers=3)


def test_every_cache_is_compressed_from_then_on(model):
    dense = make_prompt_cache(model)
    configs = compress_by_default(model, LLOYD)
    assert configs == dict.fromkeys(range(3), LLOYD)
    first, second = make_prompt_cache(model), make_prompt_cache(model)
    assert all(isinstance(layer, TurboQuantKVCache) and layer.empty() for layer in first)
    assert all(layer.admission.family == "llama" for layer in first)
    assert not {id(layer) for layer in first} & {id(layer) for layer in second}
    assert {type(layer) for layer in dense} == {KVCache}


def test_generation_is_that_of_caches_upgraded_while_empty(model):
    upgraded = make_prompt_cache(model)
    upgrade_cache_list(upgraded, config=LLOYD, model_family="llama")
    prompt = mx.array(TOKENS)
    expected = [token for token, _ in generate_step(prompt, model, max_tokens=8, prompt_cache=upgraded)]
    compress_by_default(model, LLOYD)
    assert [token for token, _ in generate_step(prompt, model, max_tokens=8)] == expected


def test_key_bits_are_chosen_from_the_calibration(model):
    prefilled = make_prompt_cache(model)
    model(mx.array([TOKENS]), cache=prefilled)
    upgrade_cache_list(prefilled, config=EQUAL_NOISE, model_family="llama")
    configs = compress_by_default(model, EQUAL_NOISE, calibration=TOKENS)
    assert [configs[index] for index in range(3)] == [layer.config for layer in prefilled]
    assert [layer.config for layer in make_prompt_cache(model)] == [layer.config for layer in prefilled]


def test_sliding_windows_stay_dense(tiny_gemma):
    try:
        compress_by_default(tiny_gemma, LLOYD)
        kinds = [type(layer) for layer in make_prompt_cache(tiny_gemma)]
        assert kinds == [RotatingKVCache, RotatingKVCache, TurboQuantKVCache]
    finally:
        dense_by_default(tiny_gemma)
    assert {type(layer) for layer in make_prompt_cache(tiny_gemma)} == {RotatingKVCache, KVCache}


def test_a_second_call_replaces_the_first_and_can_be_undone(model):
    compress_by_default(model, LLOYD)
    other = replace(LLOYD, tail_tokens=0, preset=None)
    compress_by_default(model, other)
    assert {layer.config for layer in make_prompt_cache(model)} == {other}
    dense_by_default(model)
    dense_by_default(model)
    assert {type(layer) for layer in make_prompt_cache(model)} == {KVCache}


def test_what_is_refused_leaves_the_model_as_it_was(model, tiny_qwen):
    compress_by_default(model, LLOYD)
    with pytest.raises(ConfigError, match="the calibration has 4"):
        compress_by_default(model, EQUAL_NOISE, calibration=TOKENS[:4])
    assert {layer.config for layer in make_prompt_cache(model)} == {LLOYD}
    with pytest.raises(UnsupportedFamilyError, match="research-only"):
        compress_by_default(tiny_qwen, LLOYD)
    assert {type(layer) for layer in make_prompt_cache(tiny_qwen)} == {KVCache}
