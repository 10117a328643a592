"""Speculative decoding: mlx-lm drafts, verifies and rewinds; compressed caches give what they give without drafts."""

import importlib
from dataclasses import replace

import mlx.core as mx
import mlx_lm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.models import llama
from mlx_lm.models.cache import KVCache, make_prompt_cache

from lively_llama import lively_llama
from tq_mlx import ConfigError, TurboQuantConfig, TurboQuantKVCache, UnsupportedFamilyError, status
from vectors import feed, keys_and_values

PRESET = TurboQuantConfig.from_preset("lloyd_k4v4")
SMALL = replace(PRESET, center_block=None, tail_tokens=16, block_tokens=64)
"""Without means of blocks: those depend on which of a block's tokens are there when it begins, drafts among them."""
PROMPT = [1 + index * 7 % 60 for index in range(200)]


def tokens(model, draft=None, cache=None, count=24, **kwargs):
    generate = importlib.import_module("mlx_lm.generate")
    shared = {"prompt_cache": cache, "max_tokens": count, "prefill_step_size": 128, **kwargs}
    if draft is None:
        return [token for token, _ in generate.generate_step(mx.array(PROMPT), model, **shared)]
    return [token for token, _, _ in generate.speculative_generate_step(mx.array(PROMPT), model, draft, **shared)]


@pytest.fixture(scope="module")
def model():
    return lively_llama()


@pytest.fixture(scope="module")
def draft(model):
    """The same model with noise on its head: some of its drafts are accepted and some are not."""
    twin = llama.Model(model.args)
    twin.update(model.parameters())
    head = model.lm_head.weight
    twin.lm_head.weight = head + 0.3 * mx.std(head) * mx.random.normal(head.shape, key=mx.random.key(3))
    return twin


def test_the_drafts_are_partly_accepted(model, draft):
    generate = importlib.import_module("mlx_lm.generate")
    steps = generate.speculative_generate_step(mx.array(PROMPT), model, draft, max_tokens=24)
    accepted = [from_draft for _, _, from_draft in steps]
    assert 0 < sum(accepted) < 16


@pytest.mark.parametrize("num_draft_tokens", [1, 2, 5])
@pytest.mark.parametrize("draft_config", [None, SMALL], ids=["dense draft", "compressed draft"])
@pytest.mark.parametrize("start", [0, 150])
def test_gives_the_tokens_of_the_same_configuration_without_drafts(model, draft, num_draft_tokens, draft_config, start):
    """Exact here because no block of 64 fills between the prompt's end and the last token."""
    settings = {"turboquant_config": SMALL, "turboquant_start": start}
    cache = make_prompt_cache(model) + make_prompt_cache(draft)
    drafted = tokens(
        model,
        draft,
        cache,
        num_draft_tokens=num_draft_tokens,
        turboquant_draft_config=draft_config,
        **settings,
    )
    assert drafted == tokens(model, **settings)
    main, other = status(cache[:2]).layers, status(cache[2:]).layers
    assert all(layer.codes_read > 0 for layer in main)
    assert all((layer.codes_read > 0) is (draft_config is not None) for layer in other)
    # The last token is fed back where it was a draft.
    assert {layer.offset for layer in main} <= {len(PROMPT) + 24 - 1, len(PROMPT) + 24}


def test_a_start_within_the_answer_compresses_accepted_tokens_alone(model, draft):
    cache = make_prompt_cache(model) + make_prompt_cache(draft)
    generate = importlib.import_module("mlx_lm.generate")
    kinds = [
        (type(cache[0]).__name__, cache[0].offset)
        for _ in generate.speculative_generate_step(
            mx.array(PROMPT),
            model,
            draft,
            max_tokens=24,
            prompt_cache=cache,
            turboquant_config=SMALL,
            turboquant_start=210,
        )
    ]
    assert kinds[0][0] == "KVCache"
    assert kinds[-1][0] == "TurboQuantKVCache"
    assert all(kind == "KVCache" for kind, offset in kinds if offset < 210)
    assert all(layer.reads.count > 0 for layer in cache[:2])


def test_compresses_the_main_model_alone_or_the_draft_alone(model, draft):
    dense = tokens(model)
    cache = make_prompt_cache(model) + make_prompt_cache(draft)
    assert tokens(model, draft, cache, turboquant_draft_config=SMALL) == dense
    assert [type(layer) for layer in cache] == [KVCache, KVCache, TurboQuantKVCache, TurboQuantKVCache]


def test_key_bits_are_chosen_from_the_keys_of_the_prompt(model, draft):
    config = TurboQuantConfig.from_preset("equal_noise_k4v4")
    cache = make_prompt_cache(model) + make_prompt_cache(draft)
    drafted = tokens(model, draft, cache, turboquant_config=config)
    assert drafted == tokens(model, turboquant_config=config)
    assert all(type(layer) is TurboQuantKVCache for layer in cache[:2])


def test_mlx_lms_generate_takes_both(model, draft, tiny_tokenizer):
    settings = {"max_tokens": 12, "turboquant_config": SMALL}
    drafted = mlx_lm.generate(model, tiny_tokenizer, PROMPT, draft_model=draft, **settings)
    assert drafted == mlx_lm.generate(model, tiny_tokenizer, PROMPT, **settings)


def test_without_a_configuration_nothing_changes(model, draft):
    cache = make_prompt_cache(model) + make_prompt_cache(draft)
    assert tokens(model, draft, cache) == tokens(model)
    assert all(type(layer) is KVCache for layer in cache)


def test_refusals_come_before_anything_runs(model, draft, monkeypatch):
    cache = make_prompt_cache(model) + make_prompt_cache(draft)
    for other in (None, draft):
        with pytest.raises(ConfigError, match="kv_bits is 4"):
            tokens(model, other, cache[: 2 if other is None else 4], kv_bits=4, turboquant_config=SMALL)
    monkeypatch.setattr(draft, "model_type", "mamba")
    with pytest.raises(UnsupportedFamilyError, match="'mamba'"):
        tokens(model, draft, cache, turboquant_config=SMALL, turboquant_draft_config=SMALL)
    assert all(layer.empty() for layer in cache)


rounds = st.lists(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))), max_size=10)


sizes = st.one_of(st.tuples(st.integers(1, 12), st.integers(6, 9)), st.just((0, 1)))


@given(rounds=rounds, sizes=sizes, prompt=st.integers(24, 60))
@settings(max_examples=15)
def test_rejected_drafts_leave_no_trace(rounds, sizes, prompt):
    """Whatever was appended and trimmed away, what the next token attends to is what it is without drafts.

    Holds where some tail stays dense and drafts are no longer than a block (they are coded one update later, when the
    rejected ones are gone), and where every token is coded by itself. The prompt is long enough that the mean was
    frozen in it.
    """
    tail, block = sizes
    config = replace(SMALL, sink_tokens=2, tail_tokens=tail, block_tokens=block)
    keys, values = keys_and_values(prompt + 80, heads=1, head_dim=32)
    wrong_keys, wrong_values = keys_and_values(6, seed=1, heads=1, head_dim=32)
    drafted, plain = TurboQuantKVCache(config), TurboQuantKVCache(config)
    for cache in (drafted, plain):
        cache.update_and_fetch(keys[..., :prompt, :], values[..., :prompt, :])
    at = prompt
    for length, rejected in rounds:
        right = slice(at, at + length - rejected)
        block_of = [
            mx.concatenate([side[..., right, :], wrong[..., :rejected, :]], axis=-2)
            for side, wrong in ((keys, wrong_keys), (values, wrong_values))
        ]
        drafted.update_and_fetch(*block_of)
        assert drafted.trim(rejected) == rejected
        feed(plain, keys[..., right, :], values[..., right, :], [1] * (length - rejected))
        at = right.stop
    ours = drafted.update_and_fetch(keys[..., at : at + 1, :], values[..., at : at + 1, :])
    theirs = plain.update_and_fetch(keys[..., at : at + 1, :], values[..., at : at + 1, :])
    for one, other in zip(ours, theirs, strict=True):
        assert one.packed == other.packed
        assert mx.array_equal(one.decode(), other.decode())
