"""Codes of 1 to 8 bits ↔ uint32 words, as one little-endian bit stream per vector.

Code j of a vector occupies bits j·b … j·b + b − 1 of its stream, so exactly b bits per code; only the last word of a
vector may have unused high bits. Where MLX has the width (2, 3, 4, 5, 6, 8), these are the words of ``mx.quantize``.

Eight codes fill b whole bytes. Laid out one per byte of a uint64 they are pushed together (or apart) in three rounds of
shifting and masking, pairs of lanes at a time, whatever b is. Every MLX backend is little-endian.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import mlx.core as mx

from tq_core.errors import InvalidCodecError
from tq_core.parameters import check_count

WORD = 32
LANES = 8

WHOLE_LANE = {1: mx.uint8, 2: mx.uint16, 4: mx.uint32}
"""Widths of which eight codes fill an integer of this dtype."""


def words_per_vector(length: int, bits: int) -> int:
    """Return the number of uint32 words that hold ``length`` codes of ``bits`` bits."""
    return -(-length * bits // WORD)


def pack(codes: mx.array, bits: int) -> mx.array:
    """Pack codes [..., N] below 2^bits into words [..., ⌈N·bits/32⌉], uint32."""
    check_bits(bits)
    length = codes.shape[-1]
    lanes = padded(codes.astype(mx.uint8), WORD).view(mx.uint64)  # eight codes each, one per byte
    stream = close(lanes, rounds(bits)).view(mx.uint8)
    stream = stream.reshape(*lanes.shape, LANES)[..., :bits].reshape(*codes.shape[:-1], lanes.shape[-1] * bits)
    return stream.view(mx.uint32)[..., : words_per_vector(length, bits)]


def unpack(words: mx.array, bits: int, length: int) -> mx.array:
    """Return the ``length`` codes [..., length] (uint32) held in words [..., ⌈length·bits/32⌉]."""
    return unpack_bytes(words, bits, length).astype(mx.uint32)


def unpack_bytes(words: mx.array, bits: int, length: int) -> mx.array:
    """Return the ``length`` codes [..., length] as uint8: what arithmetic over a long history starts from."""
    check_bits(bits)
    expected = words_per_vector(length, bits)
    if words.shape[-1] != expected:
        raise InvalidCodecError(
            f"{words.shape[-1]} words cannot hold {length} codes of {bits} bits: expected {expected}"
        )
    if bits == LANES:
        return words.view(mx.uint8)[..., :length]
    # Fused arithmetic over strided words takes several times longer than the copy that a slice of tokens costs.
    return spread(bits)(lanes(mx.contiguous(words), bits)).view(mx.uint8)[..., :length]


def lanes(words: mx.array, bits: int) -> mx.array:
    """Return the stream's runs of eight codes [..., n], each in the low bytes of one unsigned integer."""
    if bits in WHOLE_LANE:
        return words.view(WHOLE_LANE[bits])
    stream = padded(words, bits).view(mx.uint8)
    runs = stream.reshape(*words.shape[:-1], stream.shape[-1] // bits, bits)
    return padded(runs, LANES).view(mx.uint64)[..., 0]


def padded(x: mx.array, multiple: int) -> mx.array:
    """Return x with zeros behind its last axis, up to a multiple of that many elements."""
    missing = -x.shape[-1] % multiple
    return mx.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)]) if missing else x


@partial(mx.compile, shapeless=True)
def close(lanes: mx.array, rounds: list[list[mx.array]]) -> mx.array:
    """Push eight codes, one per byte of a uint64, together at its low end; one compiled loop serves all widths."""
    for gap, low, high in rounds:
        lanes = (lanes & low) | ((lanes & high) >> gap)
    return lanes


@lru_cache
def spread(bits: int) -> Callable[[mx.array], mx.array]:
    """Return the function that undoes ``close``; masks as constants make it ten times as fast as masks given."""
    steps = list(reversed(rounds(bits)))

    def apart(lanes: mx.array) -> mx.array:
        lanes = lanes.astype(mx.uint64)
        for gap, low, high in steps:
            lanes = (lanes & low) | ((lanes << gap) & high)
        return lanes

    return mx.compile(apart)


@lru_cache
def rounds(bits: int) -> list[list[mx.array]]:
    """Return, for lanes of 8, 16 and 32 bits, the bits unused in each and the masks of each pair's used ones."""
    found: list[list[mx.array]] = []
    for width in (8, 16, 32) if bits < LANES else ():
        used = width // LANES * bits
        low = sum(((1 << used) - 1) << place for place in range(0, 64, 2 * width))
        found.append([mx.array(value, dtype=mx.uint64) for value in (width - used, low, low << width)])
    return found


def check_bits(bits: int) -> None:
    check_count("bits", bits, 1, 8)
