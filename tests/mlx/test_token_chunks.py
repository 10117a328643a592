"""Work in chunks of tokens gives what work at once gives: the same codes bit for bit, the same mean."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_lm.models.cache import KVCache

import tq_contract
from tq_core import NonFiniteError
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, token_chunks, upgrade_cache_list
from tq_mlx.means import Means
from tq_mlx.token_chunks import encode_chunks, mean_vector
from vectors import keys_and_values

PRESETS = [preset.name for preset in tq_contract.load().presets]


@given(tokens=st.integers(1, 700), most=st.integers(1, 1 << 17), batch=st.integers(1, 2))
def test_chunks_are_the_tokens_in_order_and_bounded(tokens, most, batch):
    x = mx.arange(batch * 2 * tokens * 4).reshape(batch, 2, tokens, 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_chunks, "MOST_VALUES", most)
        chunks = list(token_chunks.token_chunks(x))
    assert mx.array_equal(mx.concatenate(chunks, axis=-2), x)
    assert all(chunk.size <= most or chunk.shape[-2] <= token_chunks.RUN for chunk in chunks)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("head_dim", [64, 128])
def test_codes_are_those_of_all_tokens_at_once(name, head_dim, monkeypatch):
    config = TurboQuantConfig.from_preset(name)
    keys, values = keys_and_values(500, batch=2, head_dim=head_dim, dtype=mx.bfloat16)
    monkeypatch.setattr(token_chunks, "MOST_VALUES", 2 * 2 * 128 * head_dim)  # three chunks of 128 tokens, one of 116
    mean = mean_vector(keys) if config.center_keys else None
    for codec, x, less in ((config.keys, keys, mean), (config.values, values, None)):
        at_once = codec.encode(x if less is None else x.astype(mx.float32) - less)
        in_chunks = encode_chunks(codec, x, None if less is None else Means(less))
        for array, expected in zip(in_chunks.arrays().values(), at_once.arrays().values(), strict=True):
            assert mx.array_equal(array, expected)


@pytest.mark.parametrize("tokens", [3, 4, 5, 131, 196, 1000])
def test_an_upgrade_in_chunks_is_the_cache_that_update_and_fetch_builds(tokens, monkeypatch):
    config, history = TurboQuantConfig.from_preset("lloyd_k4v4"), keys_and_values(tokens)
    direct, cache = TurboQuantKVCache(config), [KVCache()]
    direct.update_and_fetch(*history)
    cache[0].update_and_fetch(*history)
    monkeypatch.setattr(token_chunks, "MOST_VALUES", 1 << 14)
    upgrade_cache_list(cache, config=config, model_family="llama")
    assert cache[0].offset == direct.offset
    for ours, theirs in zip(cache[0].keys_and_values(), direct.keys_and_values(), strict=True):
        assert ours.packed == theirs.packed
        assert mx.array_equal(ours.decode(), theirs.decode())


def test_the_mean_of_many_chunks_is_the_mean(monkeypatch):
    monkeypatch.setattr(token_chunks, "MOST_VALUES", 1 << 13)
    x, _ = keys_and_values(1000, batch=2, dtype=mx.bfloat16)
    truth = np.array(x.astype(mx.float32), dtype=np.float64).mean(axis=-2, keepdims=True)
    np.testing.assert_allclose(np.array(mean_vector(x)), truth, atol=1e-5)


def test_a_row_has_the_mean_that_it_has_alone():
    x, _ = keys_and_values(20_000, batch=3)
    assert len(list(token_chunks.token_chunks(x))) > len(list(token_chunks.token_chunks(x[1:2]))) > 1
    assert mx.array_equal(mean_vector(x)[1:2], mean_vector(x[1:2]))


def test_nan_in_a_late_chunk_is_found(monkeypatch):
    monkeypatch.setattr(token_chunks, "MOST_VALUES", 1 << 13)
    x, _ = keys_and_values(1000)
    x[0, 1, 990, 3] = float("nan")
    with pytest.raises(NonFiniteError):
        encode_chunks(TurboQuantConfig.from_preset("lloyd_k4v4").keys, x)
