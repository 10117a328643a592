"""Planned bytes against the bytes of real caches."""

import re
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.models.cache import KVCache, make_prompt_cache

import tq_contract
from tq_core import UnsupportedHeadDimError
from tq_mlx import (
    TurboQuantConfig,
    TurboQuantKVCache,
    UnsupportedCacheError,
    UnsupportedFamilyError,
    upgrade_cache_list,
)
from tq_mlx.model_shape import Growing, LayerShape, model_shape
from tq_mlx.plan import CompressedPlan, DensePlan, compressed_plan, most_key_bytes
from tq_mlx.planned_segments import PREFILL_STEP, arrivals, segments_at

PRESETS = [preset.name for preset in tq_contract.load().presets]
WITHOUT_RULE = [name for name in PRESETS if TurboQuantConfig.from_preset(name).key_bits is None]


def one_layer(config, heads=2, key_dim=64, value_dim=64):
    return CompressedPlan(config, (), DensePlan(()), (Growing(heads, key_dim, value_dim, 4),))


def filled(config, counts, heads=2, key_dim=64, value_dim=64):
    cache = TurboQuantKVCache(config)
    for count in counts:
        shapes = ((1, heads, count, key_dim), (1, heads, count, value_dim))
        cache.update_and_fetch(*(mx.random.normal(shape) for shape in shapes))
    return cache


def test_the_readme_says_what_a_quarter_is_in_a_plan():
    heads, dim, bytes_per_value = 3, 64, 2  # of each layer of SmolLM2-135M, in 16 bits
    layer = (Growing(heads, dim, dim, bytes_per_value),)
    config = TurboQuantConfig.from_preset("lloyd_k4v4")
    text = " ".join((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())
    said = re.search(
        r"takes (.+?) of it at ([\d,]+) tokens, (.+?) at ([\d,]+) and (.+?) at ([\d,]+) \(`tq-mlx plan`", text
    )
    for share, tokens in zip(said.groups()[::2], (int(n.replace(",", "")) for n in said.groups()[1::2]), strict=True):
        ours = CompressedPlan(config, (), DensePlan(()), layer).bytes_at(tokens)
        dense = -(-tokens // KVCache.step) * KVCache.step * heads * 2 * dim * bytes_per_value
        assert f"{ours / dense:.2f}" == share


@pytest.mark.parametrize("name", WITHOUT_RULE)
@given(tokens=st.integers(1, 3000))
@settings(max_examples=6)
def test_planned_bytes_are_the_caches(name, tokens):
    config = TurboQuantConfig.from_preset(name)
    cache = filled(config, arrivals(tokens))
    assert one_layer(config).bytes_at(tokens) == cache.nbytes


@given(
    tokens=st.integers(1, 5000),
    sink=st.integers(0, 9),
    tail=st.sampled_from([0, 1, 100, 128, 1100]),
    block=st.sampled_from([1, 48, 64, 300]),
    centred=st.booleans(),
    centre=st.sampled_from([None, 1, 50, 64]),
)
@settings(max_examples=40)
def test_planned_bytes_hold_for_any_segments(tokens, sink, tail, block, centred, centre):
    config = replace(
        TurboQuantConfig.from_preset("paper_mse"),
        sink_tokens=sink,
        tail_tokens=tail,
        block_tokens=block,
        center_keys=centred,
        center_block=centre,
    )
    cache = filled(config, arrivals(tokens), heads=1, key_dim=16, value_dim=32)
    planned = segments_at(tokens, config)
    assert (planned.sink, planned.packed, planned.tail) == (cache.sink.length, cache.packed.length, cache.tail.length)
    assert one_layer(config, 1, 16, 32).bytes_at(tokens) == cache.nbytes


@pytest.mark.parametrize("name", WITHOUT_RULE)
def test_planned_bits_are_those_of_the_contract(name):
    bits = tq_contract.preset_bits(tq_contract.load().preset(name).parameters, 64)
    assert one_layer(TurboQuantConfig.from_preset(name)).bits_per_value == bits


@given(counts=st.lists(st.sampled_from([1, 7, 64, 300, 512]), min_size=1, max_size=25))
@settings(max_examples=30)
def test_another_history_stays_within_the_growth_step(counts):
    config = TurboQuantConfig.from_preset("paper_mse")
    plan, tokens = one_layer(config), sum(counts)
    spare = plan.coded_bytes_per_token * (tokens // 16 + 256)
    tail = plan.compressed[0].bytes_per_token * config.block_tokens
    assert abs(filled(config, counts).nbytes - plan.bytes_at(tokens)) <= spare + tail


@pytest.mark.parametrize("tokens", [1, 60, 260, 700, PREFILL_STEP + 2])
@pytest.mark.parametrize("name", ["lloyd_k4v4", "paper_prod_qjl", "polarquant_exp", "equal_noise_k45v4"])
@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_a_model_takes_what_was_planned(request, family, name, tokens):
    model = request.getfixturevalue(f"tiny_{family}")
    config = TurboQuantConfig.from_preset(name)
    cache = make_prompt_cache(model)
    for count in arrivals(tokens):
        upgrade_cache_list(cache, 0, config=config, model_family=family)
        model(mx.arange(count)[None] % 96, cache=cache)
        mx.eval([layer.state for layer in cache])
    upgrade_cache_list(cache, 0, config=config, model_family=family)
    plan = compressed_plan(model_shape(asdict(model.args) | {"dtype": "float32"}), config)
    measured = sum(layer.nbytes for layer in cache)
    if plan.is_bound:
        coded = segments_at(tokens, config).packed_capacity + tokens // config.center_block
        one_bit = coded * sum(layer.heads * layer.key_dim for layer in plan.compressed) // 8
        assert measured <= plan.bytes_at(tokens) <= measured + one_bit or tokens == 1
    else:
        assert plan.bytes_at(tokens) == measured
    kinds = [type(layer) is TurboQuantKVCache for layer in cache]
    assert tokens == 1 or [verdict.compress for verdict in plan.verdicts] == kinds


@given(
    layers=st.lists(
        st.builds(Growing, st.integers(1, 4), st.sampled_from([16, 64, 80]), st.just(64), st.just(2)),
        min_size=1,
        max_size=3,
    ),
    mean=st.sampled_from([2.0, 2.95, 4.45, 8.0]),
)
@settings(max_examples=30)
def test_no_choice_of_key_bits_is_dearer_than_planned(layers, mean):
    config = TurboQuantConfig.from_preset("equal_noise_k45v4")
    config = replace(config, key_bits=replace(config.key_bits, mean=mean))

    def cost(bits):
        codecs = [replace(config.keys, bits=b) for b in bits]
        pairs = zip(codecs, layers, strict=True)
        return sum(layer.heads * layer.key_dim * codec.bits_per_value(layer.key_dim) / 8 for codec, layer in pairs)

    choices = [bits for bits in product(range(2, 9), repeat=len(layers)) if sum(bits) <= mean * len(bits) + 1e-9]
    assert most_key_bytes(config, layers) == pytest.approx(max(map(cost, choices)), abs=1e-6)


@pytest.mark.parametrize("name", ["lloyd_k4v4", "paper_mse", "equal_noise_k35v3", None])
@given(memory=st.integers(0, 4_000_000))
@settings(max_examples=15)
def test_the_longest_context_is_the_longest_that_fits(name, memory):
    layer = Growing(2, 64, 64, 2)
    if name is None:
        plan = DensePlan((LayerShape("KVCache", (layer,)),))
    else:
        plan = CompressedPlan(TurboQuantConfig.from_preset(name), (), DensePlan(()), (layer,))
    longest = plan.longest(memory)
    assert all(plan.bytes_at(tokens) <= memory for tokens in range(max(1, longest - 200), longest + 1))
    assert any(plan.bytes_at(tokens) > memory for tokens in range(longest + 1, longest + 66))


def test_refusals_are_the_gates():
    llama = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64, "vocab_size": 96, "rms_norm_eps": 1e-5}
    llama |= {"model_type": "llama", "num_attention_heads": 2}
    config = TurboQuantConfig.from_preset("lloyd_k4v4")
    with pytest.raises(UnsupportedFamilyError, match="'granite'"):
        compressed_plan(replace(model_shape(llama), model_type="granite"), config)
    with pytest.raises(UnsupportedHeadDimError, match="34"):
        compressed_plan(model_shape(llama | {"head_dim": 34}), config)
    quantized = make_prompt_cache(type("Model", (), {"layers": [None] * 2}))
    quantized = tuple(cache.to_quantized() if index else cache for index, cache in enumerate(quantized))
    with pytest.raises(UnsupportedCacheError, match="layer 1 holds a QuantizedKVCache"):
        compressed_plan(replace(model_shape(llama), caches=quantized), config)
