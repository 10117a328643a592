"""Codes of 1 to 8 bits ↔ uint32 words, as one little-endian bit stream per vector.

Code j of a vector occupies bits j·b … j·b + b − 1 of its stream, so exactly b bits per code; only the last word of a
vector may have unused high bits. Where MLX has the width (2, 3, 4, 5, 6, 8), these are the words of ``mx.quantize``.
"""

import mlx.core as mx

from tq_core.errors import InvalidCodecError
from tq_core.parameters import check_count

WORD = 32


def words_per_vector(length: int, bits: int) -> int:
    """Return the number of uint32 words that hold ``length`` codes of ``bits`` bits."""
    return -(-length * bits // WORD)


def pack(codes: mx.array, bits: int) -> mx.array:
    """Pack codes [..., N] below 2^bits into words [..., ⌈N·bits/32⌉], uint32."""
    check_bits(bits)
    length = codes.shape[-1]
    groups = -(-length // WORD)
    padding = [(0, 0)] * (codes.ndim - 1) + [(0, groups * WORD - length)]
    grouped = mx.pad(codes.astype(mx.uint32), padding).reshape(*codes.shape[:-1], groups, WORD)
    # 32 codes fill `bits` words exactly; word w takes the codes that overlap its bits, shifted into place.
    words = [word_of(grouped, w, bits) for w in range(bits)]
    stream = mx.stack(words, axis=-1).reshape(*codes.shape[:-1], groups * bits)
    return stream[..., : words_per_vector(length, bits)]


def word_of(grouped: mx.array, w: int, bits: int) -> mx.array:
    first, last = w * WORD // bits, ((w + 1) * WORD - 1) // bits
    shifts = [j * bits - w * WORD for j in range(first, last + 1)]
    left = mx.array([max(s, 0) for s in shifts], dtype=mx.uint32)
    right = mx.array([max(-s, 0) for s in shifts], dtype=mx.uint32)
    # The codes' bits are disjoint within the word, and uint32 drops what overflows it: the sum is the union.
    return ((grouped[..., first : last + 1] << left) >> right).sum(axis=-1).astype(mx.uint32)


def unpack(words: mx.array, bits: int, length: int) -> mx.array:
    """Return the ``length`` codes [..., length] (uint32) held in words [..., ⌈length·bits/32⌉]."""
    check_bits(bits)
    expected = words_per_vector(length, bits)
    if words.shape[-1] != expected:
        raise InvalidCodecError(
            f"{words.shape[-1]} words cannot hold {length} codes of {bits} bits: expected {expected}"
        )
    groups = -(-length // WORD)
    padding = [(0, 0)] * (words.ndim - 1) + [(0, groups * bits - expected)]
    grouped = mx.pad(words, padding).reshape(*words.shape[:-1], groups, bits)
    codes = mx.concatenate([codes_of(grouped, w, bits) for w in range(bits)], axis=-1)
    return codes.reshape(*words.shape[:-1], groups * WORD)[..., :length]


def codes_of(grouped: mx.array, w: int, bits: int) -> mx.array:
    """Return the codes that begin in word w of each group of ``bits`` words; arithmetic alone, gathers are slower."""
    first, last = -(-w * WORD // bits), -(-(w + 1) * WORD // bits)  # codes first … last − 1
    shifts = [j * bits - w * WORD for j in range(first, last)]
    codes = grouped[..., w : w + 1] >> mx.array(shifts, dtype=mx.uint32)
    if shifts[-1] + bits > WORD:  # the last of them ends in the next word
        rest = grouped[..., w + 1 : w + 2] << (WORD - shifts[-1])
        codes = mx.concatenate([codes[..., :-1], codes[..., -1:] | rest], axis=-1)
    return codes & ((1 << bits) - 1)


def check_bits(bits: int) -> None:
    check_count("bits", bits, 1, 8)
