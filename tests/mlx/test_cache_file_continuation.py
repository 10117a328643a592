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


def kinds_that_go_on(model, family, config, length, directory):
    """Prefill, upgrade, save and load both ways, append a block and single tokens to all; return the caches' kinds."""
    cache = make_prompt_cache(model)
    model(mx.arange(length)[None] * 7 % 96, cache=cache)
    upgrade_cache_list(cache, config=config, model_family=family)
    compressed = [layer for layer in cache if isinstance(layer, COMPRESSED)]
    assert all(layer.memory()["packed"].tokens for layer in compressed)
    if config.key_bits:
        assert len({layer.config.keys.bits for layer in compressed}) > 1
    others = [way(directory / "cache.safetensors", cache, model) for way in (by_ours, by_mlx_lm)]
    for tokens in (mx.array([[5, 6, 7]]), mx.array([[8]]), mx.array([[9]])):
        logits = model(tokens, cache=cache)
        for again in others:
            assert mx.array_equal(model(tokens, cache=again), logits)
    for again in others:
        for layer, twin in zip(cache, again, strict=True):
            assert type(twin) is type(layer)
            assert getattr(twin, "config", None) == getattr(layer, "config", None)
    return {type(layer) for layer in cache}
