"""Streaming attention against mx.fast.scaled_dot_product_attention and float64 over the decoded history."""

from dataclasses import replace
from functools import cache
from itertools import combinations, product

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tq_mlx.attention
import tq_mlx.decoded_runs
from attention_matrix import CASES, TOKENS
from oracles.attention import attention
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, UnsupportedAttentionError, streaming_attention
from vectors import feed, keys_and_values, queries

PRESETS = ("paper_mse", "uniform_k4v4", "lloyd_k4v4")
ROWS = [(PRESETS[number // 3 % 3], case) for number, case in enumerate(CASES)]
SPLITS = ((700,), (1, 299, 400), (256, 256, 188), (600, *[1] * 100))
AT_ONCE, ONLINE = 1 << 22, 1


@cache
def history(name, total, sizes=None, **shape):
    """Views as a decode step would find them: a long block is coded once it has attended to itself."""
    cached = TurboQuantKVCache(TurboQuantConfig.from_preset(name))
    feed(cached, *keys_and_values(total, **shape), sizes or [total])
    return cached.keys_and_values()


def exactly(view):
    """Decode without rounding to the model's dtype, as attention does."""
    return replace(view, dtype=mx.float32).decode().astype(mx.float32)


def expected(q, keys, values, scale, mask=None):
    k, v = (view.decode().astype(mx.float32) for view in (keys, values))
    return mx.fast.scaled_dot_product_attention(q.astype(mx.float32), k, v, scale=scale, mask=mask)


@pytest.mark.parametrize(("preset", "case"), ROWS, ids=[f"{preset}-{case}" for preset, case in ROWS])
def test_equals_attention_over_the_decoded_history(monkeypatch, preset, case):
    keys, values = history(preset, TOKENS, heads=case.heads[1], batch=case.batch, dtype=case.dtype)
    assert keys.packed > 256
    outs = []
    for scores_at_once, decoded in ((AT_ONCE, 1 << 30), (AT_ONCE, 1), (ONLINE, 1)):
        monkeypatch.setattr(tq_mlx.attention, "MOST_SCORES", scores_at_once)
        monkeypatch.setitem(tq_mlx.decoded_runs.MOST_DECODED, mx.cpu, decoded)
        outs.append(streaming_attention(case.queries(), keys, values, **case.options()))
    case.check(exactly(keys), exactly(values), *outs)


def test_the_matrix_pairs_everything_with_everything():
    """What takes turns must not always meet the same, or a defect could hide behind the turn."""
    columns = {
        "mask": [case.mask for _, case in ROWS],
        "length": [case.length for _, case in ROWS],
        "dtype": [case.dtype for _, case in ROWS],
        "extras": [(case.sinks, case.softcap) for _, case in ROWS],
    }
    for one, other in combinations(columns.values(), 2):
        assert set(zip(one, other, strict=True)) == set(product(one, other))
    heads, presets = [case.heads for _, case in ROWS], [preset for preset, _ in ROWS]
    assert {queries // keys for queries, keys in heads} == set(range(1, 9))
    for one, name in product((heads, presets), ("length", "dtype", "extras")):
        assert set(zip(one, columns[name], strict=True)) == set(product(one, columns[name]))


@pytest.mark.parametrize("sizes", SPLITS, ids=["whole", "three", "chunks", "prefill and decode"])
@pytest.mark.parametrize("head_dim", [64, 80, 128, 256])
def test_equals_it_for_every_split_and_head_dimension(sizes, head_dim):
    for name in PRESETS:
        keys, values = history(name, 700, sizes, head_dim=head_dim, heads=1)
        q = queries(2, head_dim=head_dim, heads=2)
        out = streaming_attention(q, keys, values, scale=head_dim**-0.5)
        assert mx.abs(out - expected(q, keys, values, head_dim**-0.5)).max().item() < 1e-4


@pytest.mark.parametrize("tail", [0, 128])
@pytest.mark.parametrize("total", [1, 3, 5, 130, 400])
def test_equals_it_whatever_segments_are_empty(total, tail):
    config = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), tail_tokens=tail, block_tokens=max(1, tail // 2))
    keys, values = feed(TurboQuantKVCache(config), *keys_and_values(total), [total])
    q = queries(1)
    assert mx.abs(streaming_attention(q, keys, values, scale=1.0) - expected(q, keys, values, 1.0)).max() < 1e-4


def test_values_may_be_wider_or_narrower_than_keys():
    for value_dim in (32, 128):
        keys, values = history("lloyd_k4v4", 400, value_dim=value_dim)
        q = queries(3)
        out = streaming_attention(q, keys, values, scale=0.125, mask="causal")
        truth = attention(q, keys.decode(), values.decode(), scale=0.125, mask="causal")
        assert np.abs(np.asarray(out) - truth).max() < 1e-4


def without_mean(keys):
    return replace(keys, centre=replace(keys.centre, mean=mx.zeros_like(keys.centre.mean)))


CODED = {"sink_tokens": 0, "tail_tokens": 0, "block_tokens": 1}
"""Changes to a configuration that leave no token dense."""


def far_away(offset, **changes):
    """A history of 300 tokens whose keys lie far from zero, and a query of which q·μ is large."""
    config = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), **changes)
    keys, values = keys_and_values(300, heads=1)
    cached = TurboQuantKVCache(config)
    feed(cached, keys + offset, values, [300])
    q = queries(4)
    return q + 0.5 * mx.sign(q.sum(axis=-1, keepdims=True)), *cached.keys_and_values()


@pytest.mark.parametrize("sinks", [None, mx.array([3.0, -20.0])], ids=["", "sinks"])
@pytest.mark.parametrize("softcap", [None, 30.0], ids=["", "cap"])
@pytest.mark.parametrize("segments", [{}, CODED], ids=["dense and coded", "coded"])
def test_the_mean_keys_score_counts_wherever_it_can_be_noticed(segments, sinks, softcap):
    q, keys, values = far_away(1.0, **segments)
    options = {"scale": 0.125, "sinks": sinks, "softcap": softcap}
    out = np.asarray(streaming_attention(q, keys, values, **options))
    truth, centred = (attention(q, k, values.decode(), **options) for k in (keys.decode(), without_mean(keys).decode()))
    assert np.abs(out - truth).max() < 1e-4
    # A wrong or missing q·μ would show, except where all tokens lack it and nothing notices.
    invisible = bool(segments) and sinks is None and softcap is None
    assert (np.abs(centred - truth).max() < 1e-4) == invisible


def test_scores_of_codes_stay_exact_however_far_the_keys_lie():
    """Adding q·μ ≈ 1e6 in float32 would round the differences between scores away; it is left out."""
    q, keys, values = far_away(1e5, **CODED)
    out = streaming_attention(q, keys, values, scale=0.125)
    truth = attention(q, without_mean(keys).decode(), values.decode(), scale=0.125)
    assert np.abs(np.asarray(out) - truth).max() < 1e-4


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("scores_at_once", [AT_ONCE, ONLINE], ids=["at once", "online"])
def test_a_row_with_every_token_masked_stays_finite_and_spoils_no_other(monkeypatch, scores_at_once, softcap):
    monkeypatch.setattr(tq_mlx.attention, "MOST_SCORES", scores_at_once)
    for dtype, lowest in product((mx.float32, mx.bfloat16, mx.float16), (-float("inf"), None)):
        keys, values = history("lloyd_k4v4", 300, dtype=dtype)
        q = queries(2, dtype=dtype)
        visible = mx.array([[False], [True]]) & mx.ones((2, 300), dtype=mx.bool_)
        floor = mx.finfo(dtype).min if lowest is None else lowest
        for mask in (visible, mx.where(visible, 0.0, floor).astype(dtype)):
            out = streaming_attention(q, keys, values, scale=1.0, mask=mask, softcap=softcap)
            alone = streaming_attention(q[..., 1:, :], keys, values, scale=1.0, softcap=softcap)
            assert mx.isfinite(out).all()
            assert mx.allclose(out[..., 1:, :], alone, atol=1e-2)
            with_sinks = streaming_attention(q, keys, values, scale=1.0, mask=mask, sinks=mx.zeros(2))
            assert not mx.any(with_sinks[..., :1, :]) or (mask.dtype != mx.bool_ and lowest is None)


def test_rows_of_scores_that_overflow_exp_are_exact():
    keys, values = history("lloyd_k4v4", 300)
    q = queries(1) * 1000
    assert mx.abs(streaming_attention(q, keys, values, scale=1.0) - expected(q, keys, values, 1.0)).max() < 1e-3


@given(
    total=st.integers(1, 400),
    length=st.integers(1, 40),
    group=st.integers(1, 8),
    batch=st.integers(1, 3),
    name=st.sampled_from(PRESETS),
    scores_at_once=st.sampled_from([AT_ONCE, 1 << 10, ONLINE]),
    softcap=st.sampled_from([None, 0.5, 50.0]),
    sinks=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_equals_it_for_any_shape(total, length, group, batch, name, scores_at_once, softcap, sinks, seed):
    length = min(length, total)
    keys, values = history(name, total, batch=batch, seed=seed)
    q = queries(length, batch=batch, heads=2 * group, seed=seed)
    logits = mx.random.normal((2 * group,), key=mx.random.key(seed)) if sinks else None
    options = {"scale": 0.2, "mask": "causal", "softcap": softcap, "sinks": logits}
    before = tq_mlx.attention.MOST_SCORES
    tq_mlx.attention.MOST_SCORES = scores_at_once
    try:
        out = streaming_attention(q, keys, values, **options)
    finally:
        tq_mlx.attention.MOST_SCORES = before
    assert np.abs(np.asarray(out) - attention(q, keys.decode(), values.decode(), **options)).max() < 1e-4


def test_codes_are_counted_when_they_are_read():
    cached = TurboQuantKVCache(TurboQuantConfig.from_preset("lloyd_k4v4"))
    keys, values = cached.update_and_fetch(*keys_and_values(400))
    streaming_attention(queries(1), keys, values, scale=1.0)
    assert cached.reads.count == 0  # a long block attends to itself before it is coded
    for _ in range(3):
        keys, values = cached.update_and_fetch(*keys_and_values(1))
        streaming_attention(queries(1), keys, values, scale=1.0)
    assert cached.reads.count == 3


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"queries": queries(1, heads=3)}, "multiple of the KV heads"),
        ({"queries": queries(1, head_dim=32)}, "head dimension"),
        ({"queries": queries(1, batch=2)}, "same batch"),
        ({"mask": "diagonal"}, "'diagonal'"),
        ({"mask": mx.ones((1, 9), dtype=mx.bool_)}, r"shape \(1, 9\) does not broadcast to .* \(1, 2, 1, 10\)"),
        ({"mask": mx.ones((1, 11), dtype=mx.bool_)}, r"\(1, 11\)"),
        ({"mask": mx.ones((1, 3, 1, 10), dtype=mx.bool_)}, r"\(1, 3, 1, 10\)"),
        ({"mask": mx.ones((1, 1, 1, 1, 10), dtype=mx.bool_)}, r"\(1, 1, 1, 1, 10\)"),
        ({"mask": mx.ones((1, 10), dtype=mx.int32)}, "int32"),
        ({"sinks": mx.zeros((3,))}, r"sinks of shape \(3,\): one logit per query head, 2"),
        ({"softcap": 0.0}, r"softcap is 0\.0"),
        ({"softcap": -50.0}, r"softcap is -50\.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_by_name(changed, named):
    keys, values = history("lloyd_k4v4", 10)
    arguments = {"queries": queries(1), "keys": keys, "values": values, "scale": 1.0} | changed
    with pytest.raises(UnsupportedAttentionError, match=named):
        streaming_attention(**arguments)


def test_an_empty_history_is_refused():
    cached = TurboQuantKVCache(TurboQuantConfig.from_preset("lloyd_k4v4"))
    cached.update_and_fetch(*keys_and_values(5))
    cached.trim(5)
    with pytest.raises(UnsupportedAttentionError, match="the cache is empty"):
        streaming_attention(queries(1), *cached.keys_and_values(), scale=1.0)


def test_models_that_reach_into_a_view_are_refused():
    keys, _ = history("lloyd_k4v4", 10)
    with pytest.raises(UnsupportedAttentionError, match="swapaxes"):
        keys.swapaxes(-1, -2)
