"""Runs of tokens that are decoded at a time: they cover the live tokens, and have few different lengths."""

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tq_mlx.decoded_runs
from tq_core import MseCodec, UniformCodec
from tq_mlx.decoded_runs import runs_of
from tq_mlx.segments import PACKED_STEP


@pytest.fixture(scope="module")
def code():
    return MseCodec(bits=3).encode(mx.random.normal((2, 3, 2048, 32), key=mx.random.key(0)))


@given(tokens=st.integers(1, 2048), most=st.integers(1, 1 << 20))
def test_runs_cover_the_live_tokens_in_whole_growth_steps(code, tokens, most):
    before = tq_mlx.decoded_runs.MOST_DECODED[mx.cpu]
    tq_mlx.decoded_runs.MOST_DECODED[mx.cpu] = most
    try:
        runs = runs_of(code, tokens, MseCodec(bits=3), rows=1)
    finally:
        tq_mlx.decoded_runs.MOST_DECODED[mx.cpu] = before
    lengths = [run.tokens for run in runs]
    assert tokens <= sum(lengths) < tokens + PACKED_STEP
    assert all(length % PACKED_STEP == 0 for length in lengths)
    assert len(set(lengths[:-1])) <= 1
    assert lengths[-1] <= lengths[0]
    assert lengths[0] * 2 * 3 * 32 <= max(most, PACKED_STEP * 2 * 3 * 32)
    joined = mx.concatenate([run.words for run in runs], axis=-2)
    assert mx.array_equal(joined, code.words[..., : sum(lengths), :])


def test_what_is_multiplied_without_decoding_stays_whole(code):
    assert runs_of(code, 5, UniformCodec(bits=3), rows=1) == [code]
