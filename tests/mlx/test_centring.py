from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tq_core import MseCodec, UniformCodec
from tq_mlx import ConfigError, TurboQuantConfig, TurboQuantKVCache
from tq_mlx.attention import streaming_attention
from tq_mlx.centring import PRIOR, Centre
from vectors import feed, keys_and_values, queries

CODEC = MseCodec(bits=8)
LLOYD = TurboQuantConfig.from_preset("lloyd_k4v4")
SMALL = replace(LLOYD, center_block=8, sink_tokens=3, tail_tokens=8, block_tokens=4)


def drifting(tokens, **shape):
    """Keys whose common part turns with the position, as behind RoPE."""
    keys, values = keys_and_values(tokens, **shape)
    angle = mx.arange(tokens)[:, None] / 40
    return keys + 6 * mx.cos(angle + mx.arange(keys.shape[-1])), values


def test_a_block_is_centred_on_its_own_mean():
    """Against float64: mean of all, plus the sum of a block's deviations over its tokens and the prior."""
    keys, _ = drifting(50)
    centre = Centre.of(keys, CODEC, 16).reaching(keys, 0, 50)
    truth = np.array(keys, dtype=np.float64)
    mean = truth.mean(axis=-2, keepdims=True)
    assert centre.blocks == 4
    for block in range(4):
        run = slice(16 * block, min(16 * block + 16, 50))
        tokens = run.stop - run.start
        expected = mean + (truth - mean)[..., run, :].sum(axis=-2, keepdims=True) / (tokens + PRIOR)
        at = np.array(centre.at(run.start, tokens))
        assert at.shape[-2] == tokens
        assert np.abs(at - expected).max() < 0.02 * np.abs(expected).max()


@given(data=st.data(), start=st.integers(0, 49))
def test_any_run_of_tokens_gets_its_blocks_vectors(data, start):
    keys, _ = drifting(50)
    centre = Centre.of(keys, CODEC, 7).reaching(keys, 0, 50)
    count = data.draw(st.integers(1, 50 - start))
    assert mx.array_equal(centre.at(start, count), centre.at(0, 50)[..., start : start + count, :])


def test_a_block_begun_keeps_its_mean():
    keys, _ = drifting(64)
    early = Centre.of(keys, CODEC, 16).reaching(keys[..., :20, :], 0, 20)
    late = early.reaching(keys[..., 20:, :] + 50, 20, 44)
    assert late.blocks == 4
    assert mx.array_equal(late.at(0, 32), early.at(0, 32))


def test_tokens_that_follow_into_a_block_count_for_its_mean_but_begin_none():
    keys, _ = drifting(40)
    ahead = Centre.of(keys, CODEC, 16).reaching(keys, 0, 17)
    behind = Centre.of(keys, CODEC, 16).reaching(keys, 0, 32)
    assert ahead.blocks == 2
    assert mx.array_equal(ahead.at(0, 32), behind.at(0, 32))


@given(data=st.data(), total=st.integers(10, 80), bits=st.sampled_from([2, 4]))
@settings(max_examples=25)
@pytest.mark.parametrize("codec", [MseCodec, UniformCodec])
def test_attention_adds_each_blocks_score_back(codec, data, total, bits):
    config = replace(SMALL, keys=codec(bits=bits), values=codec(bits=4))
    cuts = sorted(data.draw(st.sets(st.integers(1, total - 1), max_size=5)))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]
    cache = TurboQuantKVCache(config)
    feed(cache, *drifting(total), sizes)
    keys, values = cache.keys_and_values()
    length = min(sizes[-1], 3)
    q = queries(length, heads=4)
    attended = streaming_attention(q, keys, values, scale=0.1, mask="causal")
    expected = mx.fast.scaled_dot_product_attention(q, keys.decode(), values.decode(), scale=0.1, mask="causal")
    assert mx.abs(attended - expected).max().item() < 1e-4


def error(cache, keys):
    return mx.square(cache.keys_and_values()[0].decode() - keys).sum().item()


def test_blocks_lower_the_error_of_keys_that_drift():
    keys, values = drifting(300)
    errors: list[float] = []
    for block in (8, None):
        cache = TurboQuantKVCache(replace(SMALL, center_block=block))
        cache.update_and_fetch(keys, values)
        errors.append(error(cache, keys))
    assert errors[0] < 0.5 * errors[1]


@given(total=st.integers(20, 60), kept=st.integers(0, 60))
@settings(max_examples=25)
def test_trimming_forgets_the_blocks_behind_the_last_packed_token(total, kept):
    cache = TurboQuantKVCache(SMALL)
    keys, values = drifting(total)
    cache.update_and_fetch(keys, values)
    before = cache.keys_and_values()[0].decode()
    cache.trim(total - min(kept, total))
    assert (cache.centre.blocks if cache.centre else 0) == -(-cache.packed.length // 8)
    if cache.offset:
        assert mx.array_equal(cache.keys_and_values()[0].decode(), before[..., : cache.offset, :])


def test_state_holds_the_blocks():
    cache = TurboQuantKVCache(SMALL)
    keys, values = drifting(60)
    cache.update_and_fetch(keys, values)
    again = TurboQuantKVCache.from_state(cache.state)
    assert mx.array_equal(again.keys_and_values()[0].decode(), cache.keys_and_values()[0].decode())
    for one in (cache, again):
        one.update_and_fetch(keys, values)
    assert mx.array_equal(again.keys_and_values()[0].decode(), cache.keys_and_values()[0].decode())


@pytest.mark.parametrize("block", [0, -1, 2.0, True, "64"])
def test_a_block_that_is_no_number_of_tokens_is_refused(block):
    with pytest.raises(ConfigError, match="center_block"):
        replace(SMALL, center_block=block)


def test_without_centring_there_are_no_blocks():
    plain = replace(SMALL, center_keys=False)
    assert plain.center_block is None
    assert plain.fingerprint == replace(plain, center_block=8).fingerprint
