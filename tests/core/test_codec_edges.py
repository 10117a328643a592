"""Every codec at the edges: odd layouts, ends of the range, one token and none, objects compared."""

from dataclasses import fields, replace
from functools import cache
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from tests.core.codec_matrix import (
    DTYPES,
    HEAD_DIMS,
    ROWS,
    B,
    H,
    Row,
    T,
    array,
    assert_combines,
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

from tq_core import Identity, NonFiniteError, RandomOrthogonal, TurboQuantError, UnsupportedHeadDimError

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
