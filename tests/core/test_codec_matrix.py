"""What every codec does at every head dimension and dtype: its abilities, and each vector by itself."""

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest
from tests.core.codec_matrix import (
    DTYPES,
    B,
    H,
    Row,
    T,
    array,
    assert_combines,
    assert_same_codes,
    assert_same_vectors,
    assert_scores,
    decoded,
    encoded,
    every_dim,
    every_row,
    queries,
    two_dims,
    vectors,
    weights,
)
from tests.oracles.scalar import relative_error

# The five abilities.


@every_row
@every_dim
def test_shapes_dtypes_and_price(row: Row, dim: int) -> None:
    for dtype in DTYPES:
        code = encoded(row, dim, dtype)
        assert type(code) is row.codec.code_type
        assert (code.head_dim, code.tokens) == (dim, T)
        for other, a in code.arrays().items():
            assert a.shape[:-1] == (B, H, T), other
            assert a.dtype == encoded(row, dim, mx.float32).arrays()[other].dtype, other
        assert code.nbytes == sum(a.nbytes for a in code.arrays().values())
        assert code.nbytes * 8 == pytest.approx(row.codec.bits_per_value(dim) * B * H * T * dim, rel=1e-12)
        back = row.codec.decode(code)
        assert (back.shape, back.dtype) == ((B, H, T, dim), mx.float32)


@every_row
def test_price_is_what_is_stored(row: Row) -> None:
    for dim in (48, 64, 80, 96, 112, 128, 192, 256):
        code = row.codec.encode(mx.ones((1, 2, 3, dim)))
        assert code.nbytes * 8 == pytest.approx(row.codec.bits_per_value(dim) * 2 * 3 * dim, rel=1e-12)


@every_row
@every_dim
def test_decode_error(row: Row, dim: int) -> None:
    for dtype in DTYPES:
        error = relative_error(array(vectors(dim, dtype)), decoded(row, dim, dtype))
        assert 0.6 * row.error <= error.mean() <= 1.15 * row.error
        assert error.max() <= 6 * row.error


@every_row
@every_dim
def test_scores_are_q_times_decoded(row: Row, dim: int) -> None:
    for dtype in DTYPES:
        assert_scores(row, queries(dim, dtype), encoded(row, dim, dtype), decoded(row, dim, dtype))


@every_row
@every_dim
def test_combine_is_p_times_decoded(row: Row, dim: int) -> None:
    for dtype in DTYPES:
        assert_combines(row, weights(dtype), encoded(row, dim, dtype), decoded(row, dim, dtype))


@every_row
@pytest.mark.parametrize("count", [1, 2, 40])
def test_one_few_and_many_queries(row: Row, count: int) -> None:
    assert_scores(row, queries(64, count=count), encoded(row, 64), decoded(row, 64))
    assert_combines(row, weights(count=count), encoded(row, 64), decoded(row, 64))


@every_row
@every_dim
def test_scores_and_combine_are_linear(row: Row, dim: int) -> None:
    code, q, p = encoded(row, dim), queries(dim), weights()
    for f, x in ((row.codec.scores, q), (row.codec.combine, p)):
        y = x[..., ::-1, :]
        mixed, apart = array(f(3.0 * x - 0.5 * y, code)), 3.0 * array(f(x, code)) - 0.5 * array(f(y, code))
        np.testing.assert_allclose(mixed, apart, atol=2e-6 * np.abs(apart).max() + 1e-4)
        assert not array(f(mx.zeros_like(x), code)).any()


@every_row
def test_attention_works_in_rotated_space(row: Row) -> None:
    """Rotating the query once and the output once is the same as scores and combine."""
    codec, code, q, p = row.codec, encoded(row, 64), queries(64), weights()
    scores = codec.rotated_scores(codec.rotation.apply(q), code)
    np.testing.assert_allclose(array(scores), array(codec.scores(q, code)), atol=1e-3)
    rotated = codec.rotated_combine(p, code)
    np.testing.assert_allclose(array(codec.rotation.invert(rotated)), array(codec.combine(p, code)), atol=1e-3)
    np.testing.assert_allclose(array(codec.rotation.invert(codec.dequantize(code))), decoded(row, 64), atol=1e-6)


@every_row
def test_query_groups_share_a_head(row: Row) -> None:
    """[B, H, G, M, D] queries over a code with an axis of one: grouped-query attention."""
    groups = 4
    q = mx.array(np.random.default_rng(1).standard_normal((B, H, groups, 2, 64)).astype(np.float32))
    p = mx.array(np.random.default_rng(2).uniform(0, 1, (B, H, groups, 2, T)).astype(np.float32))
    code, x = encoded(row, 64).map(lambda a: a[:, :, None]), decoded(row, 64)[:, :, None]
    assert_scores(row, q, code, x)
    assert_combines(row, p, code, x)


@every_row
def test_scores_and_combine_compile(row: Row) -> None:
    """They can be traced: nothing in them needs a value. (Run, they would wait for a C++ compiler on a Linux CPU.)"""
    codec, code = row.codec, encoded(row, 64)

    def attend(q: mx.array, arrays: dict[str, mx.array]) -> mx.array:
        code = codec.code_from(64, arrays)
        return codec.combine(mx.softmax(codec.scores(q, code) / 8, axis=-1), code)

    assert mx.compile(attend)(queries(64), code.arrays()).shape == (B, H, 5, 64)
    assert_scores(row, queries(64), code, decoded(row, 64))  # and leave no tracer behind


# Each vector by itself.


@every_row
@two_dims
def test_same_input_same_code(row: Row, dim: int) -> None:
    twin = replace(row.codec)
    assert_same_codes(encoded(row, dim), twin.encode(vectors(dim)))


@every_row
@two_dims
def test_code_of_a_slice_is_a_slice_of_the_code(row: Row, dim: int) -> None:
    x, whole = vectors(dim), encoded(row, dim)
    for part in (slice(5, 6), slice(7, 19), slice(0, T, 2)):
        sliced = whole.map(lambda a, part=part: a[:, :, part])
        assert_same_vectors(row, row.codec.encode(x[:, :, part]), sliced, x[:, :, part])
    one_head = whole.map(lambda a: a[1:, 2:])
    assert_same_vectors(row, row.codec.encode(x[1:, 2:]), one_head, x[1:, 2:])


@every_row
@two_dims
def test_other_rows_heads_and_tokens_do_not_matter(row: Row, dim: int) -> None:
    x = array(vectors(dim)).astype(np.float32)
    y = np.random.default_rng(5).standard_normal(x.shape).astype(np.float32) * 1000
    kept = np.zeros(x.shape[:-1], dtype=bool)
    kept[1, 2, 7] = kept[0, 0, 0] = kept[0, 1, T - 1] = True
    y[kept] = x[kept]
    before, after = encoded(row, dim), row.codec.encode(mx.array(y))
    for name, a in before.arrays().items():
        b = after.arrays()[name]
        np.testing.assert_array_equal(array(a)[kept], array(b)[kept], err_msg=name)
        if a.shape[-1]:
            assert (array(a)[~kept] != array(b)[~kept]).any(), name


@every_row
@two_dims
def test_pieces_of_history_join(row: Row, dim: int) -> None:
    """Codes joined along the tokens stand for the joined vectors; so do slices of a larger buffer."""
    code = encoded(row, dim)
    first, second = code.map(lambda a: a[:, :, :10]), code.map(lambda a: a[:, :, 10:])
    joined = row.codec.code_from(
        dim, {name: mx.concatenate([a, second.arrays()[name]], axis=2) for name, a in first.arrays().items()}
    )
    assert_same_codes(joined, code)
    buffer = code.map(lambda a: mx.pad(a, [(0, 0), (1, 0), (3, 9), (0, 0)]))
    window = buffer.map(lambda a: a[:, 1:, 3 : 3 + T])
    assert_scores(row, queries(dim), window, decoded(row, dim))
    assert_combines(row, weights(), window, decoded(row, dim))
    np.testing.assert_allclose(array(row.codec.decode(window)), decoded(row, dim), atol=1e-5)
    scores = [array(row.codec.scores(queries(dim), part)) for part in (first, second)]
    whole = array(row.codec.scores(queries(dim), code))
    np.testing.assert_allclose(np.concatenate(scores, axis=-1), whole, atol=2e-6 * np.abs(whole).max())


@every_row
@pytest.mark.parametrize("shape", [(B * H * T,), (B * H, T), (B, H, 2, T // 2)], ids=str)
def test_any_leading_shape(row: Row, shape: tuple[int, ...]) -> None:
    x = vectors(64).reshape(*shape, 64)
    code = row.codec.encode(x)
    assert code.tokens == shape[-1]
    assert_same_vectors(row, code, encoded(row, 64).map(lambda a: a.reshape(*shape, a.shape[-1])), x)
