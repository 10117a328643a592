"""Learned sinks end to end on a small random model of mlx-lm's gpt_oss class, whose windows are compressed too."""

from dataclasses import replace

import mlx.core as mx
import pytest
from mlx_lm.models import gpt_oss

from forked_cache import ForkedCache
from tq_mlx import TurboQuantKVCache, TurboQuantRotatingKVCache, UnsupportedFamilyError, family_of

TOKENS = mx.array([[1 + index * 7 % 60 for index in range(330)], [1 + index * 11 % 60 for index in range(330)]])
CHUNKS = ((0, 200), (200, 100), (300, 8), *((step, 1) for step in range(308, 330)))
WINDOW = 64


@pytest.fixture(scope="module")
def model():
    mx.random.seed(10)
    args = gpt_oss.ModelArgs(
        num_hidden_layers=4,
        num_local_experts=2,
        num_experts_per_tok=1,
        vocab_size=96,
        hidden_size=64,
        intermediate_size=64,
        head_dim=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=WINDOW,
    )
    model = gpt_oss.Model(args)
    for index, layer in enumerate(model.layers):
        layer.self_attn.sinks = mx.random.normal((4,), key=mx.random.key(index)) * 2 + 4
    mx.eval(model.parameters())
    return model


@pytest.mark.parametrize("batch", [1, 2])
def test_logits_are_those_of_the_model_over_the_decoded_values(model, preset, batch):
    """The caches are built directly: the contract does not list this family."""
    with pytest.raises(UnsupportedFamilyError):
        family_of(model)
    small = replace(preset, tail_tokens=16, block_tokens=8)
    compressed = [
        TurboQuantKVCache(preset) if kind == "full_attention" else TurboQuantRotatingKVCache(small, WINDOW)
        for kind in model.model.layer_types
    ]
    for first, size in CHUNKS:
        tokens = TOKENS[:batch, first : first + size]
        truth = model(tokens, cache=[ForkedCache(cache) for cache in compressed])
        logits = model(tokens, cache=compressed)
        assert mx.abs(logits - truth).max().item() < 1e-3
    assert all(cache.reads.count for cache in compressed)


def test_the_sinks_are_what_makes_the_difference(model, monkeypatch):
    before = model(TOKENS)
    for layer in model.layers:
        monkeypatch.setattr(layer.self_attn, "sinks", mx.full((4,), -1e4))
    assert mx.abs(model(TOKENS) - before).max().item() > 0.01
