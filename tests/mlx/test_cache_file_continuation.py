"""A model goes on from a saved cache exactly as from the one that was never saved: logits equal bit for bit.

Files of save_cache and of mlx-lm's own save_prompt_cache alike.
"""

from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import pytest
from mlx_lm.models.cache import RotatingKVCache, load_prompt_cache, make_prompt_cache, save_prompt_cache
from mlx_lm.utils import load_model

from small_caches import COMPRESSED, SMALL
from tq_mlx import (
    BatchTurboQuantKVCache,
    TurboQuantConfig,
    TurboQuantKVCache,
    TurboQuantRotatingKVCache,
    load_cache,
    save_cache,
    upgrade_cache_list,
)
from tq_mlx.key_bits import MeanBits

WINDOWS = replace(SMALL, sliding_layers="compressed")
UNEQUAL = MeanBits(4.5)


def by_ours(path, cache, model):
    save_cache(path, cache, model=model)
    return load_cache(path, model=model)


def by_mlx_lm(path, cache, _):
    save_prompt_cache(str(path), cache)
    return load_prompt_cache(str(path))


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, key_bits=UNEQUAL)], ids=["plain", "bits per layer"])
def test_a_small_llama(tiny_llama, config, tmp_path):
    assert kinds_that_go_on(tiny_llama, "llama", config, 200, tmp_path) == {TurboQuantKVCache}


@pytest.mark.parametrize(
    ("config", "windows"), [(SMALL, RotatingKVCache), (WINDOWS, TurboQuantRotatingKVCache)], ids=["dense", "compressed"]
)
def test_a_small_gemma_with_sliding_windows(tiny_gemma, config, windows, tmp_path):
    assert kinds_that_go_on(tiny_gemma, "gemma", config, 100, tmp_path) == {TurboQuantKVCache, windows}


@pytest.mark.model
def test_a_real_llama_with_bits_chosen_per_layer(real_model, tmp_path):
    model, _ = load_model(Path(real_model("llama")))
    config = replace(TurboQuantConfig.from_preset("equal_noise_k4v4"), key_bits=UNEQUAL)
    assert kinds_that_go_on(model, "llama", config, 200, tmp_path) == {TurboQuantKVCache}


@pytest.mark.model
def test_a_real_gemma_with_its_windows_compressed(real_model, tmp_path):
    model, _ = load_model(Path(real_model("gemma")))
    config = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), sliding_layers="compressed")
    kinds = kinds_that_go_on(model, "gemma", config, 200, tmp_path)
    assert kinds == {TurboQuantKVCache, TurboQuantRotatingKVCache}


def test_a_batch_of_two_prompts(tiny_llama, tmp_path):
    rows = [prefilled(tiny_llama, "llama", SMALL, length) for length in (120, 70)]
    batch = [BatchTurboQuantKVCache.merge(layers) for layers in zip(*rows, strict=True)]
    for layer in batch:
        layer.prepare(lengths=[4, 1], right_padding=[0, 3])
    assert_all_go_on(tiny_llama, batch, [mx.array([[5, 6, 7], [8, 0, 0]]), mx.array([[9], [0]])], tmp_path)
    assert [layer.offset.tolist() for layer in batch] == [[124, 71]] * 2
    for layer in batch:
        layer.finalize()
    assert_all_go_on(tiny_llama, batch, [mx.array([[1], [2]])], tmp_path)


def kinds_that_go_on(model, family, config, length, directory):
    """Let a compressed prompt go on, and return the kinds of its caches."""
    cache = prefilled(model, family, config, length)
    compressed = [layer for layer in cache if isinstance(layer, COMPRESSED)]
    assert all(layer.memory()["packed"].tokens for layer in compressed)
    if config.key_bits:
        assert len({layer.config.keys.bits for layer in compressed}) > 1
    assert_all_go_on(model, cache, [mx.array([[5, 6, 7]]), mx.array([[8]]), mx.array([[9]])], directory)
    return {type(layer) for layer in cache}


def prefilled(model, family, config, length):
    cache = make_prompt_cache(model)
    model(mx.arange(length)[None] * 7 % 96, cache=cache)
    upgrade_cache_list(cache, config=config, model_family=family)
    return cache


def assert_all_go_on(model, cache, runs, directory):
    """Save and load both ways, then append runs of tokens to all."""
    others = [way(directory / "cache.safetensors", cache, model) for way in (by_ours, by_mlx_lm)]
    for tokens in runs:
        logits = model(tokens, cache=cache)
        for again in others:
            assert mx.array_equal(model(tokens, cache=again), logits)
    for again in others:
        for layer, twin in zip(cache, again, strict=True):
            assert type(twin) is type(layer)
            assert getattr(twin, "config", None) == getattr(layer, "config", None)
