"""The growable storage against a plain list of tokens."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core import MseCodec
from tq_mlx.segments import DenseSegment, PackedSegment

HISTORY = st.lists(st.tuples(st.sampled_from(["append", "truncate", "drop_front"]), st.integers(1, 40)), max_size=12)


@given(history=HISTORY, step=st.sampled_from([1, 4, 64]))
def test_a_dense_segment_is_a_list_of_tokens(history, step):
    segment, model, fresh = DenseSegment(step), [], 0
    for action, count in history:
        if action == "append":
            tokens = list(range(fresh, fresh + count))
            fresh += count
            model += tokens
            column = mx.array(tokens, dtype=mx.float32).reshape(1, 1, count, 1)
            segment.append(column, -column)
        elif action == "truncate":
            model = model[:count]
            segment.truncate(min(segment.length, count))
        else:
            model = model[count:]
            segment.drop_front(min(segment.length, count))
        live = segment.live()
        assert segment.length == len(model)
        assert (live is None) == (not model)
        if live is not None:
            np.testing.assert_array_equal(np.array(live[0]).ravel(), model)
            np.testing.assert_array_equal(np.array(live[1]).ravel(), [-token for token in model])


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_codes_appended_piecewise_are_the_codes_of_the_whole(sizes):
    codec, total = MseCodec(bits=3), sum(sizes)
    vectors = mx.random.normal((1, 2, total, 32), key=mx.random.key(total))
    whole, segment, first = codec.encode(vectors), PackedSegment(), 0
    for size in sizes:
        code = codec.encode(vectors[..., first : first + size, :])
        segment.append(code, code)
        first += size
    assert segment.length == total
    for name, array in whole.arrays().items():
        assert mx.array_equal(segment.keys.arrays()[name][..., :total, :], array), name


def test_growth_is_geometric():
    segment = DenseSegment(step=16)
    capacities = set()
    for _ in range(2000):
        segment.append(mx.zeros((1, 1, 1, 1)), mx.zeros((1, 1, 1, 1)))
        capacities.add(segment.keys.shape[-2])
    assert len(capacities) < 60  # by steps of 16 alone there would be 125
    assert max(capacities) <= 2000 * 17 / 16 + 16


def test_what_is_beyond_the_length_stays_finite():
    segment = PackedSegment()
    code = MseCodec(bits=4).encode(mx.random.normal((1, 1, 300, 64)))
    segment.append(code, code)
    segment.truncate(10)
    decoded = MseCodec(bits=4).decode(segment.keys)
    assert decoded.shape[-2] == 512
    assert mx.isfinite(decoded).all()


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16])
def test_the_dtype_is_kept(dtype):
    segment = DenseSegment(step=4)
    segment.append(mx.ones((1, 1, 3, 2), dtype=dtype), mx.ones((1, 1, 3, 2), dtype=dtype))
    segment.append(mx.ones((1, 1, 3, 2), dtype=dtype), mx.ones((1, 1, 3, 2), dtype=dtype))
    assert segment.keys.dtype == segment.values.dtype == dtype
    assert segment.nbytes == 2 * 8 * 2 * dtype.size


@pytest.mark.parametrize("heads", [1, 2])
def test_a_full_buffer_keeps_no_longer_history_alive(heads):
    segment = DenseSegment(step=4)
    before = mx.get_active_memory()
    history = mx.random.normal((1, heads, 100_000, 8))
    segment.append(history[..., :4, :], history[..., :4, :])
    mx.eval(segment.keys, segment.values)
    assert mx.get_active_memory() - before > history.nbytes
    del history
    assert mx.get_active_memory() - before < 1e6
