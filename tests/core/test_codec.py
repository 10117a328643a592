"""What every codec shares: the frozen record, and the gate against NaN and Inf."""

from dataclasses import FrozenInstanceError, dataclass

import mlx.core as mx
import numpy as np
import pytest

from tq_core import Code, Codec, MseCodec, NonFiniteError
from tq_core.codec import check_finite


@dataclass(frozen=True)
class Pair(Code):
    first: mx.array
    second: mx.array


def pair() -> Pair:
    return Pair(64, mx.ones((2, 3, 5, 8), dtype=mx.uint32), mx.zeros((2, 3, 5, 1), dtype=mx.bfloat16))


def test_arrays_by_name() -> None:
    code = pair()
    assert list(code.arrays()) == ["first", "second"]
    assert code.arrays()["first"] is code.first
    assert code.head_dim == 64


def test_tokens_and_bytes() -> None:
    assert pair().tokens == 5
    assert pair().nbytes == 2 * 3 * 5 * (8 * 4 + 2)


def test_map_changes_each_array_and_nothing_else() -> None:
    code = pair().map(lambda a: a[..., 1:3, :])
    assert isinstance(code, Pair)
    assert (code.head_dim, code.tokens) == (64, 2)
    assert (code.first.shape, code.second.shape) == ((2, 3, 2, 8), (2, 3, 2, 1))
    assert (code.first.dtype, code.second.dtype) == (mx.uint32, mx.bfloat16)


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        pair().head_dim = 3  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FrozenInstanceError):
        MseCodec().bits = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_a_codec_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Codec()  # pyright: ignore[reportAbstractUsage]


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16], ids=str)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_element_is_found_and_described(bad: float, dtype: mx.Dtype) -> None:
    x = np.zeros((2, 3, 40, 64), dtype=np.float32)
    check_finite(mx.array(x).astype(dtype))
    x[1, 2, 39, 63] = bad
    with pytest.raises(NonFiniteError) as caught:
        check_finite(mx.array(x).astype(dtype))
    message = str(caught.value)
    assert "1 of 15360 elements" in message
    assert "(2, 3, 40, 64)" in message
    assert str(dtype) in message


def test_largest_numbers_are_finite() -> None:
    for dtype in (mx.float32, mx.bfloat16, mx.float16):
        check_finite(mx.array([mx.finfo(dtype).max, mx.finfo(dtype).min, 0.0], dtype=dtype))
    check_finite(mx.zeros((2, 0, 64)))


@pytest.mark.parametrize("dim", [64, 128, 512])
def test_what_is_accepted_is_decoded_to_finite_numbers(dim: int) -> None:
    """The worst case of a Hadamard rotation: all rotated coordinates alike, so that the way back adds them all up."""
    for exponent in range(30, 39):
        for digit in (1, 2, 3, 5, 8):
            x = mx.eye(3, dim) * min(digit * 10.0**exponent, 3.3e38)
            try:
                code = MseCodec(bits=4).encode(x)
            except NonFiniteError:
                assert exponent > 32, "one size too careful"
                continue
            assert mx.isfinite(MseCodec(bits=4).decode(code)).all().item(), (digit, exponent)
