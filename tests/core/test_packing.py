"""Codes ↔ words: the identity for every width and length, and the very words of MLX's affine layout."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.bit_stream import codes_of, words_of

from tq_core import InvalidCodecError, pack, unpack
from tq_core.packing import words_per_vector

WIDTHS = range(1, 9)
MLX_WIDTHS = (2, 3, 4, 5, 6, 8)
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 10, 11, 16, 31, 32, 33, 63, 64, 65, 80, 96, 127, 128, 129, 255, 256, 257, 300)


def random_codes(seed: int, shape: tuple[int, ...], bits: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**bits, shape, dtype=np.uint32)


def assert_packs(codes: np.ndarray, bits: int) -> None:
    """Pack and unpack; hold the words against the Python bit stream, vector by vector."""
    *leading, length = codes.shape
    words = pack(mx.array(codes), bits)
    assert words.dtype == mx.uint32
    assert words.shape == (*leading, -(-length * bits // 32))
    flat = np.array(words).reshape(-1, words.shape[-1])
    for row, vector in zip(flat.tolist(), codes.reshape(-1, length).tolist(), strict=True):
        assert row == words_of(vector, bits)
    back = unpack(words, bits, length)
    assert back.dtype == mx.uint32
    np.testing.assert_array_equal(np.array(back), codes)


@given(
    seed=st.integers(0, 2**32 - 1),
    leading=st.lists(st.integers(1, 3), max_size=3).map(tuple),
    length=st.integers(1, 300),
    bits=st.sampled_from(WIDTHS),
)
@settings(max_examples=300)
def test_round_trip_is_the_identity_and_the_bit_stream(
    seed: int, leading: tuple[int, ...], length: int, bits: int
) -> None:
    assert_packs(random_codes(seed, (*leading, length), bits), bits)


@pytest.mark.parametrize("bits", WIDTHS)
def test_lengths_around_word_borders(bits: int) -> None:
    for length in LENGTHS:
        assert_packs(random_codes(length, (2, length), bits), bits)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("length", [1, 33, 100])
def test_neighbours_do_not_leak(length: int, bits: int) -> None:
    """All ones, all zeros, and one full code in each place of an empty vector."""
    top = 2**bits - 1
    assert_packs(np.full((1, length), top, dtype=np.uint32), bits)
    assert_packs(np.zeros((1, length), dtype=np.uint32), bits)
    assert_packs(np.eye(length, dtype=np.uint32) * top, bits)


@pytest.mark.parametrize("bits", WIDTHS)
def test_python_reads_our_words_and_we_read_python_s(bits: int) -> None:
    codes = random_codes(bits, (77,), bits).tolist()
    assert codes_of(pack(mx.array(codes), bits).tolist(), bits, 77) == codes
    assert unpack(mx.array(words_of(codes, bits), dtype=mx.uint32), bits, 77).tolist() == codes


@pytest.mark.parametrize("bits", WIDTHS)
def test_exactly_b_bits_per_code_where_words_are_full(bits: int) -> None:
    for length in (32, 64, 96, 128, 256):
        assert words_per_vector(length, bits) * 32 == length * bits
    assert words_per_vector(1, bits) == 1
    assert words_per_vector(33, bits) == bits + 1


@pytest.mark.parametrize("bits", WIDTHS)
def test_unused_high_bits_are_zero(bits: int) -> None:
    last = int(pack(mx.full((5,), 2**bits - 1, dtype=mx.uint32), bits)[..., -1].item())
    assert last < 2 ** (5 * bits % 32 or 32)


@pytest.mark.parametrize("dtype", [mx.uint8, mx.uint16, mx.uint32, mx.int32])
def test_codes_of_any_integer_type(dtype: mx.Dtype) -> None:
    codes = random_codes(1, (3, 50), 7)
    np.testing.assert_array_equal(np.array(pack(mx.array(codes).astype(dtype), 7)), np.array(pack(mx.array(codes), 7)))


@pytest.mark.parametrize("bits", WIDTHS)
def test_strided_codes_and_words(bits: int) -> None:
    codes = random_codes(bits, (4, 6, 130), bits)
    swapped = pack(mx.array(codes).swapaxes(0, 1), bits)
    np.testing.assert_array_equal(np.array(swapped), np.array(pack(mx.array(codes.swapaxes(0, 1).copy()), bits)))
    every_second = pack(mx.array(codes)[..., ::2], bits)
    np.testing.assert_array_equal(np.array(every_second), np.array(pack(mx.array(codes[..., ::2].copy()), bits)))
    np.testing.assert_array_equal(np.array(unpack(swapped.swapaxes(0, 1), bits, 130)), codes)


@pytest.mark.parametrize("bits", WIDTHS)
def test_no_vectors(bits: int) -> None:
    words = pack(mx.zeros((2, 0, 80), dtype=mx.uint32), bits)
    assert words.shape == (2, 0, words_per_vector(80, bits))
    assert unpack(words, bits, 80).shape == (2, 0, 80)


@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("bits", MLX_WIDTHS)
def test_words_are_those_of_mlx(bits: int, group: int) -> None:
    x = mx.array(np.random.default_rng(bits * group).standard_normal((9, 2 * group)).astype(np.float32))
    words, scales, biases = mx.quantize(x, group_size=group, bits=bits)
    codes = unpack(words, bits, x.shape[-1])
    assert len(np.unique(np.array(codes))) > 0.6 * 2**bits
    np.testing.assert_array_equal(np.array(pack(codes, bits)), np.array(words))
    ours = np.array(codes, dtype=np.float64) * np.repeat(np.array(scales), group, -1) + np.repeat(biases, group, -1)
    mlx = mx.dequantize(words, scales, biases, group_size=group, bits=bits)
    np.testing.assert_allclose(ours, np.array(mlx), rtol=0, atol=2e-6)


@pytest.mark.parametrize("bits", [0, -1, 9, 32])
def test_width_out_of_range(bits: int) -> None:
    with pytest.raises(InvalidCodecError, match=f"bits is {bits}: "):
        pack(mx.zeros((4,), dtype=mx.uint32), bits)
    with pytest.raises(InvalidCodecError, match=f"bits is {bits}: "):
        unpack(mx.zeros((4,), dtype=mx.uint32), bits, 4)


@pytest.mark.parametrize("words", [0, 1, 2, 4, 5])
def test_wrong_number_of_words(words: int) -> None:
    with pytest.raises(InvalidCodecError, match=rf"{words} words cannot hold 30 codes of 3 bits: expected 3"):
        unpack(mx.zeros((2, words), dtype=mx.uint32), 3, 30)
