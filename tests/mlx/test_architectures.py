"""Over many of mlx-lm's model classes: a compressed cache gives the right answer or a typed refusal, never garbage.

The oracle is the model's own attention over what the codes decode to: a cache that stores codes but hands out arrays.
"""

import importlib
from dataclasses import replace

import mlx.core as mx
import pytest
from mlx_lm.models.cache import KVCache, make_prompt_cache

from tiny_architectures import PECULIAR, PLAIN, tiny
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, UnsupportedAttentionError, UnsupportedCacheError

CONFIG = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), sink_tokens=2, tail_tokens=8, block_tokens=4)
PROMPT = [1 + index * 7 % 90 for index in range(45)]


@pytest.fixture(autouse=True)
def interpreted():
    """Keep mx.compile from building kernels, which on a CPU takes longer than everything else here."""
    mx.disable_compile()
    yield
    mx.enable_compile()


class DecodedKVCache(TurboQuantKVCache):
    """Stores codes and hands out the dense arrays that they decode to."""

    def keys_and_values(self):
        return tuple(view.decode() for view in super().keys_and_values())


def steps(model, cache, **kwargs):
    """Prefill in chunks that leave codes behind, then decode; return tokens and log-probabilities."""
    generate_step = importlib.import_module("mlx_lm.generate").generate_step
    options = {"max_tokens": 4, "prefill_step_size": 20, "prompt_cache": cache, **kwargs}
    out = list(generate_step(mx.array(PROMPT), model, **options))
    return [token for token, _ in out], mx.stack([logprobs for _, logprobs in out])


def compressed(model, monkeypatch):
    """Generate by the public way in, as if the contract listed the architecture; return the outcome and the caches."""
    monkeypatch.setattr(model, "model_type", "llama")
    cache = make_prompt_cache(model)
    return steps(model, cache, turboquant_config=CONFIG), cache


def expected(model):
    cache = [DecodedKVCache(CONFIG) if type(layer) is KVCache else layer for layer in make_prompt_cache(model)]
    return steps(model, cache)


def assert_right(model, outcome):
    (tokens, logprobs), (oracle_tokens, oracle_logprobs) = outcome, expected(model)
    assert tokens == oracle_tokens
    assert mx.abs(logprobs - oracle_logprobs).max().item() < 1e-3


@pytest.mark.parametrize("architecture", PLAIN)
def test_is_right(architecture, monkeypatch):
    model = tiny(architecture)
    outcome, cache = compressed(model, monkeypatch)
    assert_right(model, outcome)
    read = [layer.reads.count for layer in cache if isinstance(layer, TurboQuantKVCache)]
    assert read
    assert all(read)


@pytest.mark.parametrize("architecture", PECULIAR)
def test_is_right_or_refused(architecture, monkeypatch):
    model = tiny(architecture)
    try:
        outcome, _ = compressed(model, monkeypatch)
    except (UnsupportedAttentionError, UnsupportedCacheError):
        return
    assert_right(model, outcome)


def test_a_model_that_calls_mlx_itself_is_refused_by_name(tiny_llama, monkeypatch):
    def attend(queries, keys, values, *, cache, scale, mask):
        del cache
        return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask=mask)

    monkeypatch.setattr("mlx_lm.models.llama.scaled_dot_product_attention", attend)
    with pytest.raises(UnsupportedAttentionError, match="hands a compressed cache's keys or values to MLX itself"):
        steps(tiny_llama, make_prompt_cache(tiny_llama), turboquant_config=CONFIG)


def test_other_kinds_of_state_leave_every_layer_as_it_was(monkeypatch):
    model = tiny("falcon_h1")
    monkeypatch.setattr(model, "model_type", "llama")
    cache = make_prompt_cache(model)
    with pytest.raises(UnsupportedCacheError, match="CacheList"):
        steps(model, cache, turboquant_config=CONFIG)
    assert all(layer.empty() for layer in cache)
    assert not any(isinstance(layer, TurboQuantKVCache) for layer in cache)
