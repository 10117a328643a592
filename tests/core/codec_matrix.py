"""Every codec that ``test_codec_matrix.py`` and ``test_codec_edges.py`` run over, and what they share.

A new codec joins by a row.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from tests.oracles.scalar import relative_error

from tq_core import (
    Code,
    Codec,
    Hadamard,
    Identity,
    MseCodec,
    PolarCodec,
    ProdCodec,
    RandomOrthogonal,
    TopkCodec,
    UniformCodec,
)

HEAD_DIMS = (64, 80, 128)
"""A power of two, 20·4 without an MLX group size, and MLX's largest group."""


@dataclass(frozen=True)
class Row:
    """A codec, and the D_mse that it should show on Gaussian vectors (the tests allow −40 % to +15 %)."""

    name: str
    codec: Codec[Any]
    error: float

    def __str__(self) -> str:
        return self.name


ROWS = (
    Row("mse1-norm", MseCodec(bits=1, gain="norm", scale_search=False), 0.3634),
    Row("mse2", MseCodec(bits=2), 0.1175),
    Row("mse3", MseCodec(Hadamard(7), bits=3), 0.0340),
    Row("mse4-norm", MseCodec(bits=4, gain="norm", scale_search=False), 0.0095),
    Row("mse4-least-squares", MseCodec(bits=4, scale_search=False), 0.0095),
    Row("mse4", MseCodec(bits=4), 0.0080),
    Row("mse4-norm-preserving", MseCodec(bits=4, gain="norm_preserving"), 0.0080),
    Row("mse4-orthogonal", MseCodec(RandomOrthogonal(3), bits=4), 0.0080),
    Row("mse4-identity", MseCodec(Identity(), bits=4), 0.0080),
    Row("mse4-groups", MseCodec(bits=4, gain_group=16), 0.0050),
    Row("mse6-norm", MseCodec(bits=6, gain="norm", scale_search=False), 0.000644),
    Row("mse7-norm", MseCodec(bits=7, gain="norm", scale_search=False), 0.000165),
    Row("mse8-least-squares", MseCodec(bits=8, scale_search=False), 0.000044),
    Row("uniform2", UniformCodec(bits=2), 0.1188),
    Row("uniform3-norm", UniformCodec(bits=3, gain="norm", scale_search=False), 0.0374),
    Row("uniform4", UniformCodec(bits=4), 0.0097),
    Row("uniform4-norm-preserving", UniformCodec(bits=4, gain="norm_preserving"), 0.0097),
    Row("uniform4-orthogonal", UniformCodec(RandomOrthogonal(1), bits=4), 0.0097),
    Row("uniform4-groups", UniformCodec(bits=4, gain_group=16), 0.0055),
    Row("uniform6", UniformCodec(bits=6), 0.0007),
    Row("uniform8", UniformCodec(bits=8), 0.00006),
    Row("prod1", ProdCodec(bits=1), 1.5708),
    Row("prod4", ProdCodec(bits=4), 0.0543),
    Row("polar4", PolarCodec(), 0.0098),
    Row("polar-paper", PolarCodec(level_bits=(4, 2, 2, 2), gain="norm"), 0.032),
    Row("topk4", TopkCodec(), 0.0049),
)

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
