"""Streaming attention against mx.fast.scaled_dot_product_attention over the decoded history."""

from dataclasses import replace

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tq_mlx.attention
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, UnsupportedAttentionError, streaming_attention
from vectors import feed, keys_and_values, queries

PRESETS = ("paper_mse", "uniform_k4v4", "lloyd_k4v4")
SPLITS = ([700], [1, 299, 400], [256, 256, 188], [600, *[1] * 100])


def history(name, total, sizes, **shape):
    cache = TurboQuantKVCache(TurboQuantConfig.from_preset(name))
    feed(cache, *keys_and_values(total, **shape), sizes)
    return cache.keys_and_values()  # as a decode step would find it: a long block is coded once it has attended


def expected(q, keys, values, scale, mask=None, sinks=None):
    k, v = (view.decode().astype(mx.float32) for view in (keys, values))
    return mx.fast.scaled_dot_product_attention(q.astype(mx.float32), k, v, scale=scale, mask=mask, sinks=sinks)


def mask_of(kind, batch, heads, length, total):
    if kind == "boolean":
        return mx.random.uniform(shape=(batch, 1, length, total), key=mx.random.key(1)) > 0.4
    if kind == "boolean per head":
        return mx.random.uniform(shape=(batch, heads, length, total), key=mx.random.key(1)) > 0.4
    if kind == "additive":
        return mx.random.normal((length, total), key=mx.random.key(1))
    if kind == "window":
        return (mx.arange(total) > total - length - 40) & mx.ones((length, 1), dtype=mx.bool_)
    return "causal" if kind == "causal" else None


@pytest.mark.parametrize("scores_at_once", [1 << 22, 1 << 9], ids=["at once", "online"])
@pytest.mark.parametrize("kind", ["none", "causal", "boolean", "boolean per head", "additive", "window"])
@pytest.mark.parametrize("length", [1, 4, 300])
@pytest.mark.parametrize("group", [1, 3, 4])
def test_equals_attention_over_the_decoded_history(monkeypatch, scores_at_once, kind, length, group):
    monkeypatch.setattr(tq_mlx.attention, "MOST_SCORES", scores_at_once)
    for number, name in enumerate(PRESETS):
        keys, values = history(name, 700, SPLITS[number], batch=2)
        assert keys.packed > 256
        q = queries(length, batch=2, heads=2 * group)
        mask = mask_of(kind, 2, 2 * group, length, 700)
        out = streaming_attention(q, keys, values, scale=0.125, mask=mask)
        assert out.shape == q.shape
        assert mx.abs(out - expected(q, keys, values, 0.125, mask)).max().item() < 1e-4


@pytest.mark.parametrize("sizes", SPLITS, ids=["whole", "three", "chunks", "prefill and decode"])
@pytest.mark.parametrize("head_dim", [64, 80, 128, 256])
def test_equals_it_for_every_split_and_head_dimension(sizes, head_dim):
    for name in PRESETS:
        keys, values = history(name, 700, sizes, head_dim=head_dim)
        q = queries(2, head_dim=head_dim, heads=4)
        out = streaming_attention(q, keys, values, scale=head_dim**-0.5)
        assert mx.abs(out - expected(q, keys, values, head_dim**-0.5)).max().item() < 1e-4


@pytest.mark.parametrize("tail", [0, 128])
@pytest.mark.parametrize("total", [1, 3, 5, 130, 400])
def test_equals_it_whatever_segments_are_empty(total, tail):
    config = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), tail_tokens=tail, block_tokens=max(1, tail // 2))
    keys, values = feed(TurboQuantKVCache(config), *keys_and_values(total), [total])
    q = queries(1)
    assert mx.abs(streaming_attention(q, keys, values, scale=1.0) - expected(q, keys, values, 1.0)).max() < 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.bfloat16, 2e-2), (mx.float16, 4e-3)])
def test_half_precision_keeps_its_dtype(dtype, tolerance):
    for name in PRESETS:
        keys, values = history(name, 300, [300], dtype=dtype)
        q = queries(3, heads=4, dtype=dtype)
        out = streaming_attention(q, keys, values, scale=0.125, mask="causal")
        assert out.dtype == dtype
        assert mx.abs(out - expected(q, keys, values, 0.125, "causal")).max().item() < tolerance


@pytest.mark.parametrize("scores_at_once", [1 << 22, 1], ids=["at once", "online"])
def test_learned_sinks_take_their_share(monkeypatch, scores_at_once):
    monkeypatch.setattr(tq_mlx.attention, "MOST_SCORES", scores_at_once)
    keys, values = history("lloyd_k4v4", 300, [300])
    q, sinks = queries(2, heads=4), mx.array([0.0, 3.0, -2.0, 40.0])
    out = streaming_attention(q, keys, values, scale=0.125, sinks=sinks)
    assert mx.abs(out - expected(q, keys, values, 0.125, sinks=sinks)).max().item() < 1e-4
    assert mx.abs(out[:, 3]).max().item() < 1e-6


@pytest.mark.parametrize("scores_at_once", [1 << 22, 1], ids=["at once", "online"])
def test_a_row_with_every_token_masked_stays_finite(monkeypatch, scores_at_once):
    monkeypatch.setattr(tq_mlx.attention, "MOST_SCORES", scores_at_once)
    keys, values = history("lloyd_k4v4", 300, [300])
    for mask in (mx.zeros((1, 300), dtype=mx.bool_), mx.full((1, 300), -float("inf"))):
        assert mx.isfinite(streaming_attention(queries(1), keys, values, scale=1.0, mask=mask)).all()


def test_rows_of_scores_that_overflow_exp_are_exact():
    keys, values = history("lloyd_k4v4", 300, [300])
    q = queries(1) * 1000
    assert mx.abs(streaming_attention(q, keys, values, scale=1.0) - expected(q, keys, values, 1.0)).max() < 1e-3


@given(
    total=st.integers(1, 600),
    length=st.integers(1, 40),
    group=st.integers(1, 8),
    batch=st.integers(1, 3),
    name=st.sampled_from(PRESETS),
    scores_at_once=st.sampled_from([1, 1 << 10, 1 << 22]),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_equals_it_for_any_shape(total, length, group, batch, name, scores_at_once, seed):
    length = min(length, total)
    keys, values = history(name, total, [total], batch=batch, seed=seed)
    q = queries(length, batch=batch, heads=2 * group, seed=seed)
    before = tq_mlx.attention.MOST_SCORES
    tq_mlx.attention.MOST_SCORES = scores_at_once
    try:
        out = streaming_attention(q, keys, values, scale=0.2, mask="causal")
    finally:
        tq_mlx.attention.MOST_SCORES = before
    assert mx.abs(out - expected(q, keys, values, 0.2, "causal")).max().item() < 1e-4


def test_codes_are_counted_when_they_are_read():
    cache = TurboQuantKVCache(TurboQuantConfig.from_preset("lloyd_k4v4"))
    keys, values = cache.update_and_fetch(*keys_and_values(400))
    streaming_attention(queries(1), keys, values, scale=1.0)
    assert cache.reads.count == 0  # a long block attends to itself before it is coded
    for _ in range(3):
        keys, values = cache.update_and_fetch(*keys_and_values(1))
        streaming_attention(queries(1), keys, values, scale=1.0)
    assert cache.reads.count == 3


def test_what_does_not_fit_is_refused_by_name():
    keys, values = history("lloyd_k4v4", 10, [10])
    with pytest.raises(UnsupportedAttentionError, match="multiple of the KV heads"):
        streaming_attention(queries(1, heads=3), keys, values, scale=1.0)
    with pytest.raises(UnsupportedAttentionError, match="head dimension"):
        streaming_attention(queries(1, head_dim=32), keys, values, scale=1.0)
    with pytest.raises(UnsupportedAttentionError, match="'diagonal'"):
        streaming_attention(queries(1), keys, values, scale=1.0, mask="diagonal")
    with pytest.raises(UnsupportedAttentionError, match="swapaxes"):
        keys.swapaxes(-1, -2)
