"""What holds for every codec, head dimension and dtype: rows of ``codec_matrix.py``."""

from dataclasses import fields, replace
from functools import cache
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from tests.core.codec_matrix import HEAD_DIMS, ROWS, Row
from tests.oracles.scalar import relative_error

from tq_core import Code, Identity, NonFiniteError, RandomOrthogonal, TurboQuantError, UnsupportedHeadDimError

DTYPES = (mx.float32, mx.bfloat16, mx.float16)
B, H, T = 2, 3, 20

every_row = pytest.mark.parametrize("row", ROWS, ids=str)
every_dim = pytest.mark.parametrize("dim", HEAD_DIMS)
two_dims = pytest.mark.parametrize("dim", HEAD_DIMS[:2])


@cache
def vectors(dim: int, dtype: mx.Dtype = mx.float32, seed: int = 0) -> mx.array:
    """Gaussian vectors [B, H, T, D] with norms over two decades."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((B, H, T, dim)) * 10 ** rng.uniform(-1, 1, (B, H, T, 1))
    return mx.array(x.astype(np.float32)).astype(dtype)


@cache
def encoded(row: Row, dim: int, dtype: mx.Dtype = mx.float32) -> Code:
    code = row.codec.encode(vectors(dim, dtype))
    mx.eval(list(code.arrays().values()))
    return code


@cache
def decoded(row: Row, dim: int, dtype: mx.Dtype = mx.float32) -> np.ndarray:
    return array(row.codec.decode(encoded(row, dim, dtype)))


@cache
def queries(dim: int, dtype: mx.Dtype = mx.float32, count: int = 5) -> mx.array:
    return mx.array(np.random.default_rng(9).standard_normal((B, H, count, dim)).astype(np.float32)).astype(dtype)


@cache
def weights(dtype: mx.Dtype = mx.float32, count: int = 5) -> mx.array:
    return mx.array(np.random.default_rng(8).uniform(-0.2, 1, (B, H, count, T)).astype(np.float32)).astype(dtype)


def array(a: mx.array) -> np.ndarray:
    return np.array(a.astype(mx.float32), dtype=np.float64)


def assert_same_codes(a: Code, b: Code) -> None:
    assert type(a) is type(b)
    assert a.head_dim == b.head_dim
    for name, left in a.arrays().items():
        right = b.arrays()[name]
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert mx.array_equal(left, right), name


def assert_same_vectors(row: Row, a: Code, b: Code, original: mx.array) -> None:
    """Alike but for roundings: another shape or layout may make BLAS sum in another order, and so flip a rare tie."""
    left, right, x = array(row.codec.decode(a)), array(row.codec.decode(b)), array(original)
    assert left.shape == right.shape == x.shape
    close = np.abs(left - right).max(axis=-1) <= 1e-5 * np.linalg.norm(x, axis=-1)
    assert close.mean() >= 0.95
    assert relative_error(x, left).mean() == pytest.approx(relative_error(x, right).mean(), rel=0.02)


def assert_scores(row: Row, q: mx.array, code: Code, x: np.ndarray) -> None:
    """The scores are q·x̂ in float64, to a rounding of ‖q‖‖x̂‖."""
    found, q = row.codec.scores(q, code), array(q)
    expected = q @ x.swapaxes(-1, -2)
    assert found.dtype == mx.float32
    assert found.shape == expected.shape
    size = np.linalg.norm(q, axis=-1)[..., None] * np.linalg.norm(x, axis=-1)[..., None, :]
    assert (np.abs(array(found) - expected) <= 1e-5 * size).all()


def assert_combines(row: Row, p: mx.array, code: Code, x: np.ndarray) -> None:
    """The combination is p·x̂ in float64, to a rounding of Σ|p|‖x̂‖."""
    found, p = row.codec.combine(p, code), array(p)
    expected = p @ x
    assert found.dtype == mx.float32
    assert found.shape == expected.shape
    size = np.abs(p) @ np.linalg.norm(x, axis=-1)[..., None]
    assert (np.abs(array(found) - expected) <= 1e-5 * size).all()


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


# Layouts.


@cache
def layouts(dim: int) -> dict[str, mx.array]:
    """The same vectors by way of other strides: all equal to ``vectors(dim)`` once made contiguous."""
    x = vectors(dim)
    doubled = mx.contiguous(mx.repeat(mx.repeat(x, 2, axis=2), 2, axis=3))
    return {
        "heads and tokens swapped": mx.contiguous(x.swapaxes(1, 2)).swapaxes(1, 2),
        "coordinates first": mx.contiguous(x.swapaxes(2, 3)).swapaxes(2, 3),
        "every second token and coordinate": doubled[:, :, ::2, ::2],
        "reversed twice": mx.contiguous(x[:, :, ::-1])[:, :, ::-1],
        "window of a buffer": mx.pad(x, [(0, 0), (0, 0), (5, 3), (0, 0)])[:, :, 5 : 5 + T],
    }


@every_row
@two_dims
def test_strides_do_not_matter(row: Row, dim: int) -> None:
    for x in layouts(dim).values():
        assert mx.array_equal(x, vectors(dim))
        assert_same_vectors(row, row.codec.encode(x), encoded(row, dim), x)


@every_row
def test_broadcast_input(row: Row) -> None:
    x = mx.broadcast_to(vectors(64)[:, :1], (B, H, T, 64))
    code = row.codec.encode(x)
    for head in range(H):
        assert_same_vectors(
            row, code.map(lambda a, head=head: a[:, head]), encoded(row, 64).map(lambda a: a[:, 0]), x[:, 0]
        )


@every_row
def test_strides_of_queries_and_weights_do_not_matter(row: Row) -> None:
    code, x = encoded(row, 64), decoded(row, 64)
    q = mx.contiguous(queries(64).swapaxes(1, 2)).swapaxes(1, 2)
    p = mx.contiguous(weights().swapaxes(2, 3)).swapaxes(2, 3)
    assert_scores(row, q, code, x)
    assert_combines(row, p, code, x)


# Ends of the range.


@every_row
@two_dims
def test_zero_vectors_decode_to_zero(row: Row, dim: int) -> None:
    """By themselves and among others."""
    x = array(vectors(dim)).astype(np.float32)
    x[0, 1] = 0
    x[1, :, 5] = 0
    code = row.codec.encode(mx.array(x))
    back = array(row.codec.decode(code))
    assert not back[0, 1].any()
    assert not back[1, :, 5].any()
    assert not array(row.codec.scores(queries(dim), code))[0, 1].any()
    assert relative_error(x[0, 0], back[0, 0]).mean() <= 1.3 * row.error


@every_row
@two_dims
def test_scale_does_not_matter(row: Row, dim: int) -> None:
    """A power of two changes no digit of the code's numbers: 2^±100 is about 1e±30."""
    for dtype, exponent in ((mx.float32, 100), (mx.float32, -100), (mx.bfloat16, 100), (mx.bfloat16, -100)):
        x = vectors(dim, dtype) * mx.array(2.0**exponent, dtype=dtype)
        back = array(row.codec.decode(row.codec.encode(x))) / 2.0**exponent
        np.testing.assert_allclose(back, decoded(row, dim, dtype), rtol=0, atol=1e-4)


@every_row
@pytest.mark.parametrize("size", [6e-5, 6e4])
def test_range_of_float16(row: Row, size: float) -> None:
    x = vectors(64)
    x = (x / mx.abs(x).max(axis=-1, keepdims=True) * size).astype(mx.float16)
    back = array(row.codec.decode(row.codec.encode(x)))
    assert relative_error(array(x), back).mean() <= 1.2 * row.error


@every_row
def test_largest_numbers_are_decoded_or_refused(row: Row) -> None:
    """Finite in, finite out, or a typed error: never NaN in a cache."""
    shapes = {
        "dense": np.random.default_rng(0).uniform(-1, 1, (2, 64)),
        "constant": np.ones((2, 64)),
        "one-hot": np.eye(2, 64),
    }
    garbage = []
    for kind, x in shapes.items():
        for dtype in (mx.float32, mx.bfloat16):
            for largest in (1e32, 1e38, 3.3e38):
                y = mx.array((x * largest).astype(np.float32)).astype(dtype)
                try:
                    back = row.codec.decode(row.codec.encode(y))
                except NonFiniteError:
                    assert largest > 1e32, "one size too careful"
                else:
                    if not mx.isfinite(back).all().item():
                        garbage.append((kind, dtype, largest))
    assert not garbage


@every_row
def test_nan_and_inf_are_refused(row: Row) -> None:
    for dtype in DTYPES:
        for bad in (float("nan"), float("inf"), -float("inf")):
            x = array(vectors(64, dtype)).astype(np.float32)
            x[1, 2, 3, 4] = bad
            with pytest.raises(NonFiniteError, match=rf"1 of {x.size} .*{dtype}"):
                row.codec.encode(mx.array(x).astype(dtype))


@every_row
def test_head_dim_without_a_rotation(row: Row) -> None:
    """A typed error, before anything else is done; random_orthogonal and identity have no such limit of their own."""
    codec: Any = row.codec
    if isinstance(codec.rotation, (Identity, RandomOrthogonal)):
        codec.check(36)
        assert codec.decode(codec.encode(mx.ones((2, 36)))).shape == (2, 36)
    else:
        for dim in (36, 65):
            with pytest.raises(UnsupportedHeadDimError, match=str(dim)):
                codec.encode(mx.ones((2, dim)))
            with pytest.raises(UnsupportedHeadDimError, match=str(dim)):
                codec.check(dim)


# One token, none.


@every_row
@two_dims
def test_one_token(row: Row, dim: int) -> None:
    x = vectors(dim)[:, :, :1]
    code = row.codec.encode(x)
    assert code.tokens == 1
    back = array(row.codec.decode(code))
    assert relative_error(array(x), back).mean() <= 2 * row.error
    assert_scores(row, queries(dim), code, back)
    assert_combines(row, weights()[..., :1], code, back)


@every_row
def test_no_tokens(row: Row) -> None:
    """Codes of nothing, with the widths of codes of something; and back."""
    for dim in HEAD_DIMS:
        code = row.codec.encode(mx.zeros((B, H, 0, dim)))
        assert (code.tokens, code.nbytes) == (0, 0)
        for name, a in encoded(row, dim).arrays().items():
            empty = code.arrays()[name]
            assert (empty.shape, empty.dtype) == ((B, H, 0, a.shape[-1]), a.dtype)
        assert row.codec.decode(code).shape == (B, H, 0, dim)


@every_dim
def test_no_tokens_or_no_queries_to_attend(fresh_python: Any, dim: int) -> None:
    """In a process of its own: MLX divides by zero in a quantized product with an empty side."""
    result = fresh_python(
        "import sys\n"
        "import mlx.core as mx\n"
        "from tests.core.codec_matrix import ROWS\n"
        "for row in ROWS:\n"
        f"    for tokens, queries in ((0, 5), (5, 0), (0, 0)):\n"
        "        print(row, tokens, queries, flush=True)\n"
        f"        code = row.codec.encode(mx.ones((2, 3, 5, {dim}))).map(lambda a: a[:, :, :tokens])\n"
        f"        scores = row.codec.scores(mx.ones((2, 3, queries, {dim})), code)\n"
        "        assert scores.shape == (2, 3, queries, tokens)\n"
        "        combined = row.codec.combine(mx.ones((2, 3, queries, tokens)), code)\n"
        f"        assert combined.shape == (2, 3, queries, {dim})\n"
        "        mx.eval(scores, combined)\n"
        "        assert not combined.size or tokens or not mx.abs(combined).max().item()\n"
    )
    assert result.returncode == 0, f"{result.returncode} after {result.stdout.splitlines()[-1:]}: {result.stderr}"


# The objects themselves.


@every_row
def test_equal_and_hashed_by_their_parameters(row: Row) -> None:
    codec = row.codec
    twin, other = replace(codec), replace(codec, rotation=type(codec.rotation)(codec.rotation.seed + 1))
    assert twin == codec
    assert hash(twin) == hash(codec)
    assert other != codec
    assert len({codec, twin, other}) == 2
    assert sum(codec == r.codec for r in ROWS) == 1


@every_row
def test_every_parameter_is_a_number_or_a_name(row: Row) -> None:
    """No arrays: a codec can be compared, hashed and written down."""
    for f in fields(row.codec):
        assert not isinstance(getattr(row.codec, f.name), mx.array)


def test_errors_are_ours() -> None:
    assert issubclass(NonFiniteError, TurboQuantError)
