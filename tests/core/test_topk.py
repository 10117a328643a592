"""The top-k residual codec against its definition, group by group in float64."""

import mlx.core as mx
import numpy as np
import pytest
from tests.oracles import topk as oracle
from tests.oracles.bfloat16 import rounded
from tests.oracles.bit_stream import codes_of
from tests.oracles.rotations import matrix
from tests.oracles.scalar import relative_error

from tq_core import (
    Identity,
    InvalidCodecError,
    MseCodec,
    NonFiniteError,
    RandomOrthogonal,
    TopkCode,
    TopkCodec,
    codec_from_dict,
    codec_to_dict,
)

BALANCED = TopkCodec(bits=4, group_size=32, k=2)
MAX_QUALITY_VALUES = TopkCodec(bits=8, group_size=16, k=4)
FORMS = (
    BALANCED,
    MAX_QUALITY_VALUES,
    TopkCodec(bits=1, group_size=64, k=5),
    TopkCodec(bits=3, group_size=24, k=1),
    TopkCodec(bits=5, group_size=256, k=256),
    TopkCodec(bits=2, group_size=2, k=2),
)
HEAD_DIMS = (64, 80, 96, 112, 128, 192, 256, 512)
BF16 = 2**-8

every_form = pytest.mark.parametrize("codec", FORMS, ids=str)


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def array(a: mx.array) -> np.ndarray:
    return np.array(a.astype(mx.float32), dtype=np.float64)


def decoded(codec: TopkCodec, x: np.ndarray) -> np.ndarray:
    return array(codec.decode(codec.encode(mx.array(x))))


def stored_indices(codec: TopkCodec, code: TopkCode) -> np.ndarray:
    """The indices [T, G, k], read by Python."""
    groups = code.scale.shape[-1]
    rows = [codes_of(words, codec.index_bits, groups * codec.k) for words in np.array(code.indices).tolist()]
    return np.array(rows).reshape(-1, groups, codec.k)


# The definition.


@every_form
@pytest.mark.parametrize("dim", [64, 80, 128])
def test_decode_by_definition(codec: TopkCodec, dim: int) -> None:
    """Whatever the group size: where it does not divide D, the last group is smaller."""
    x = gaussian(0, 40, dim) * 10.0 ** np.linspace(-3, 3, 40, dtype=np.float32)[:, None]
    y = x.astype(np.float64) @ matrix(codec.rotation, dim).T
    expected = oracle.restored(y, codec.bits, codec.group_size, codec.k) @ matrix(codec.rotation, dim)
    size = np.abs(x).max(axis=-1, keepdims=True)
    wrong = np.abs(decoded(codec, x) - expected) / size > 1e-5
    assert wrong.any(axis=-1).mean() < 0.08  # a tie between two codes or two residuals, or a rounding to bfloat16
    error = [relative_error(x, a).mean() for a in (decoded(codec, x), expected)]
    assert error[0] == pytest.approx(error[1], rel=0.02, abs=1e-9)


@every_form
def test_indices_are_of_the_largest_residuals(codec: TopkCodec) -> None:
    codec = TopkCodec(Identity(), codec.bits, codec.group_size, codec.k)
    dim = 2 * codec.group_size
    x = gaussian(1, 30, dim)
    code = codec.encode(mx.array(x))
    indices = stored_indices(codec, code)
    assert (np.diff(indices, axis=-1) > 0).all()
    words = np.array(code.words).tolist()
    codes = np.array([codes_of(w, codec.bits, dim) for w in words]).reshape(30, 2, -1)
    residual = x.reshape(30, 2, -1) - (codes * array(code.scale)[..., None] + array(code.bias)[..., None])
    chosen = np.zeros(residual.shape, dtype=bool)
    np.put_along_axis(chosen, indices, values=True, axis=-1)
    smallest = np.where(chosen, np.abs(residual), np.inf).min(axis=-1)
    largest = np.where(chosen, -np.inf, np.abs(residual)).max(axis=-1)
    assert (smallest >= largest - 1e-5).all()
    kept = array(code.residuals).reshape(30, 2, -1)
    np.testing.assert_allclose(kept, np.take_along_axis(residual, indices, axis=-1), rtol=BF16, atol=1e-5)


def test_scale_and_bias_span_the_group() -> None:
    x = gaussian(2, 20, 64)
    code = TopkCodec(Identity(), bits=4, group_size=32, k=1).encode(mx.array(x))
    groups = x.reshape(20, 2, 32)
    np.testing.assert_array_equal(array(code.bias), rounded(groups.min(axis=-1)))
    span = groups.max(axis=-1) - groups.min(axis=-1)
    np.testing.assert_allclose(array(code.scale), span / 15, rtol=BF16)


# The error.


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_error_falls_with_k(bits: int) -> None:
    """For every vector."""
    x, before = gaussian(3, 300, 64), None
    for k in (1, 2, 3, 5, 8, 16, 31, 32):
        error = relative_error(x, decoded(TopkCodec(bits=bits, group_size=32, k=k), x))
        if before is not None:
            assert (error <= before + 1e-9).all()
            assert error.mean() < 0.97 * before.mean()
        before = error


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("dim", [64, 80])
def test_exact_when_all_residuals_are_kept(bits: int, dim: int) -> None:
    """To the bfloat16 of residuals, which are half a step at most, and what the rounding of scale and bias adds."""
    x = gaussian(4, 50, dim)
    codec = TopkCodec(Identity(), bits=bits, group_size=32, k=32)
    step, largest = array(codec.encode(mx.array(x)).scale).max(), np.abs(x).max()
    assert np.abs(decoded(codec, x) - x).max() <= (step / 2 + 3 * largest * BF16) * BF16 + 1e-6


def test_known_errors() -> None:
    """What the historical forms do: less than MseCodec at fewer bits."""
    x = gaussian(5, 4000, 128)
    balanced = relative_error(x, decoded(BALANCED, x)).mean()
    assert balanced == pytest.approx(0.0050, rel=0.03)
    assert BALANCED.bits_per_value(128) == 6.5
    assert relative_error(x, decoded(MAX_QUALITY_VALUES, x)).mean() == pytest.approx(7.3e-6, rel=0.05)
    assert MAX_QUALITY_VALUES.bits_per_value(128) == 15
    mse = MseCodec(bits=6)
    error = relative_error(x, array(mse.decode(mse.encode(mx.array(x))))).mean()
    assert error == pytest.approx(balanced / 10, rel=0.1)
    assert mse.bits_per_value(128) < BALANCED.bits_per_value(128)


def test_an_exception_is_kept_where_it_is() -> None:
    """A residual that is far from a code comes back to bfloat16, wherever it is in its group."""
    codec = TopkCodec(Identity(), bits=1, group_size=16, k=1)
    for place in range(2, 80):
        x = np.zeros((1, 80), dtype=np.float32)
        start = place // 16 * 16
        x[0, start : start + 2] = [-1, 1]
        if place < start + 2:
            continue
        x[0, start + 2 : start + 16] = 1
        x[0, place] = 0.1  # halfway codes are −1 and 1
        back = decoded(codec, x)
        assert back[0, place] == pytest.approx(0.1, abs=0.01)
        np.testing.assert_allclose(back, x, atol=0.01)


# The format and its price.


@every_form
@pytest.mark.parametrize("dim", HEAD_DIMS)
def test_format_and_price(codec: TopkCodec, dim: int) -> None:
    groups = -(-dim // codec.group_size)
    index_bits = {32: 5, 16: 4, 64: 6, 24: 5, 256: 8, 2: 1}[codec.group_size]
    code = codec.encode(mx.ones((2, 3, 5, dim)))
    shapes = {
        "words": (mx.uint32, -(-dim * codec.bits // 32)),
        "scale": (mx.bfloat16, groups),
        "bias": (mx.bfloat16, groups),
        "indices": (mx.uint32, -(-groups * codec.k * index_bits // 32)),
        "residuals": (mx.bfloat16, groups * codec.k),
    }
    assert {name: (a.dtype, a.shape) for name, a in code.arrays().items()} == {
        name: (dtype, (2, 3, 5, width)) for name, (dtype, width) in shapes.items()
    }
    assert codec.bits_per_value(dim) == code.nbytes * 8 / (2 * 3 * 5) / dim


# Ends of the range; most of them are rows of codec_matrix.py.


@every_form
def test_none_one_constant_and_huge(codec: TopkCodec) -> None:
    codec = TopkCodec(RandomOrthogonal(0), codec.bits, codec.group_size, codec.k)
    empty = codec.encode(mx.zeros((2, 0, 80)))
    assert codec.decode(empty).shape == (2, 0, 80)
    assert codec.scores(mx.ones((2, 5, 80)), empty).shape == (2, 5, 0)
    assert not decoded(codec, np.zeros((3, 1, 80), dtype=np.float32)).any()
    x = gaussian(6, 20, 80)
    huge = decoded(codec, x * np.float32(2.0**100)) / 2.0**100
    np.testing.assert_allclose(huge, decoded(codec, x), atol=1e-4)
    with pytest.raises(NonFiniteError, match="1 of 80 elements"):
        codec.encode(mx.array([[float("nan")] + [1.0] * 79]))
    constant = TopkCodec(Identity(), codec.bits, codec.group_size, codec.k)
    np.testing.assert_array_equal(decoded(constant, np.full((2, 80), 1.5, dtype=np.float32)), 1.5)


@pytest.mark.parametrize("dim", [16, 17, 33, 40])
def test_head_dim_and_group_need_not_fit(dim: int) -> None:
    """A last group smaller than k too: what fills it up is not read."""
    codec = TopkCodec(Identity(), bits=4, group_size=32, k=12)
    x = gaussian(7, 30, dim)
    expected = oracle.restored(x, 4, 32, 12)
    assert (np.abs(decoded(codec, x) - expected).max(axis=-1) < 1e-5).mean() > 0.9
    np.testing.assert_allclose(decoded(codec, x)[:, 32:40], x[:, 32:40], atol=2e-3)


def test_json_round_trip() -> None:
    written = codec_to_dict(MAX_QUALITY_VALUES)
    rotation = {"kind": "hadamard", "seed": 0}
    assert written == {"codec": "topk", "rotation": rotation, "bits": 8, "group_size": 16, "k": 4}
    assert codec_from_dict(written) == MAX_QUALITY_VALUES
    assert codec_from_dict({"codec": "topk"}) == BALANCED


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"bits": 0}, "bits is 0"),
        ({"bits": 9}, "bits is 9"),
        ({"group_size": 1}, "group_size is 1"),
        ({"group_size": 257}, "group_size is 257"),
        ({"group_size": 32.0}, r"group_size is 32\.0"),
        ({"k": 0}, "k is 0"),
        ({"k": 33}, "k is 33: use 1 to 32 residuals"),
        ({"group_size": 16, "k": 17}, "k is 17"),
        ({"k": None}, "k is None"),
    ],
    ids=str,
)
def test_bad_parameters(parameters: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidCodecError, match=named):
        codec_from_dict({"codec": "topk"} | parameters)
