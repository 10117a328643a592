"""Gemma 2 end to end on a small random model of mlx-lm's own class: its soft-cap over codes, through the hook."""

import importlib

import mlx.core as mx
import mlx_lm
import pytest
from mlx_lm.models import gemma2
from mlx_lm.models.base import create_causal_mask
from mlx_lm.models.cache import KVCache, make_prompt_cache

import tq_mlx
from forked_cache import ForkedCache
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, status

TOKENS = mx.array([[1 + index * 7 % 60 for index in range(330)], [1 + index * 11 % 60 for index in range(330)]])
CHUNKS = ((0, 200), (200, 100), (300, 8), *((step, 1) for step in range(308, 330)))


@pytest.fixture(scope="module")
def model():
    mx.random.seed(9)
    args = gemma2.ModelArgs(
        model_type="gemma2",
        hidden_size=64,
        num_hidden_layers=3,
        intermediate_size=64,
        num_attention_heads=4,
        head_dim=64,
        rms_norm_eps=1e-6,
        vocab_size=96,
        num_key_value_heads=2,
        attn_logit_softcapping=2.0,  # so low that the small model's scores bend
        query_pre_attn_scalar=1.0,
    )
    model = gemma2.Model(args)
    mx.eval(model.parameters())
    return model


@pytest.mark.parametrize("batch", [1, 2])
def test_logits_are_those_of_the_model_over_the_decoded_values(model, preset, batch):
    compressed = [TurboQuantKVCache(preset) for _ in model.layers]
    for first, size in CHUNKS:
        tokens = TOKENS[:batch, first : first + size]
        forks = [ForkedCache(cache) for cache in compressed]
        truth = model(tokens, cache=forks)  # mlx-lm's own arithmetic: a fork is no compressed cache
        logits = model(tokens, cache=compressed)
        assert mx.abs(logits - truth).max().item() < 1e-3
    assert all(cache.reads.count == len(CHUNKS) - 1 for cache in compressed)


def test_the_cap_is_what_makes_the_difference(model, monkeypatch):
    """Were the small model's scores too small to bend, nothing above would test the cap."""
    before = model(TOKENS, cache=None)
    for layer in model.layers:
        monkeypatch.setattr(layer.self_attn, "attn_logit_softcapping", 1e6)
    assert mx.abs(model(TOKENS, cache=None) - before).max().item() > 0.1


@pytest.mark.parametrize("kind", ["none", "boolean", "additive"])
def test_the_layer_takes_every_mask_that_the_original_takes(model, kind):
    layer, x = model.layers[0].self_attn, mx.random.normal((2, 40, 64), key=mx.random.key(3))
    causal = create_causal_mask(40)
    mask = {"none": None, "boolean": causal, "additive": mx.where(causal, 0.0, -1e9)}[kind]
    cache = TurboQuantKVCache(TurboQuantConfig.from_preset("lloyd_k4v4"))
    assert mx.abs(layer(x, mask, cache) - layer(x, mask, KVCache())).max().item() < 1e-4
    assert cache.offset == 40


def test_other_caches_pass_through_untouched(model):
    results = []
    for installed in (True, False):
        (tq_mlx.install if installed else tq_mlx.uninstall)()
        results.append([model(TOKENS, cache=cache) for cache in (None, make_prompt_cache(model))])
    assert all(mx.array_equal(*pair) for pair in zip(*results, strict=True))


def test_the_hook_is_on_the_class_and_comes_off_exactly(model):
    during = gemma2.Attention.__call__
    tq_mlx.uninstall()
    original = gemma2.Attention.__call__
    assert original is not during
    assert (original.__module__, original.__qualname__) == ("mlx_lm.models.gemma2", "Attention.__call__")
    cache = [TurboQuantKVCache(TurboQuantConfig.from_preset("lloyd_k4v4")) for _ in model.layers]
    with pytest.raises(TypeError):  # loudly, and not past the codes
        model(TOKENS, cache=cache)
    tq_mlx.install()
    assert gemma2.Attention.__call__ is not original
    tq_mlx.uninstall()
    assert gemma2.Attention.__call__ is original


def test_generate_compresses_by_itself(model, tiny_tokenizer):
    prompt = TOKENS[0, :300].tolist()
    cache = make_prompt_cache(model)
    text = mlx_lm.generate(
        model,
        tiny_tokenizer,
        prompt,
        max_tokens=12,
        prompt_cache=cache,
        turboquant_config=TurboQuantConfig.from_preset("lloyd_k4v4"),
    )
    assert text
    assert all(type(layer) is TurboQuantKVCache for layer in cache)
    assert [layer.codes_read for layer in status(cache).layers] == [13, 13, 13]


def test_generated_tokens_stay_close_to_the_dense_run(model):
    steps = importlib.import_module("mlx_lm.generate").generate_step
    config = TurboQuantConfig.from_preset("lloyd_k4v4")
    runs = [
        [logprobs for _, logprobs in steps(TOKENS[0, :300], model, max_tokens=6, **options)]
        for options in ({}, {"turboquant_config": config})
    ]
    assert 0 < max(mx.abs(one - other).max().item() for one, other in zip(*runs, strict=True)) < 0.5
