"""Runs of codes of different widths ↔ one little-endian byte stream per vector.

Like ``tq_core.packing``, whose words hold the same bits where all codes have one width; cut to whole bytes, so that a
short run behind the others costs no word of its own.
"""

from collections.abc import Sequence

import mlx.core as mx

BYTE = 8


def bytes_per_vector(lengths: Sequence[int], widths: Sequence[int]) -> int:
    """Return the number of bytes that hold runs of ``lengths[i]`` codes of ``widths[i]`` bits."""
    return -(-sum(n * b for n, b in zip(lengths, widths, strict=True)) // BYTE)


def pack_stream(runs: Sequence[mx.array], widths: Sequence[int]) -> mx.array:
    """Pack runs of codes [..., Nᵢ] below 2^widths[i], one behind the other, into bytes [..., ⌈Σ Nᵢ·bᵢ/8⌉], uint8."""
    bits = mx.concatenate([split_bits(run, width) for run, width in zip(runs, widths, strict=True)], axis=-1)
    missing = -bits.shape[-1] % BYTE
    return join_bits(mx.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, missing)]), BYTE)


def unpack_stream(stream: mx.array, lengths: Sequence[int], widths: Sequence[int]) -> list[mx.array]:
    """Return the runs of ``lengths[i]`` codes [..., Nᵢ] (uint8) of ``widths[i]`` bits held in the stream."""
    bits, runs, start = split_bits(stream, BYTE), list[mx.array](), 0
    for length, width in zip(lengths, widths, strict=True):
        stop = start + length * width
        runs.append(join_bits(bits[..., start:stop], width))
        start = stop
    return runs


def split_bits(codes: mx.array, width: int) -> mx.array:
    """Return the lowest ``width`` bits of each code, lowest first: [..., N] → [..., N·width] of 0 and 1."""
    bits = (codes[..., None] >> mx.arange(width, dtype=codes.dtype)) & 1
    return bits.reshape(*codes.shape[:-1], codes.shape[-1] * width)


def join_bits(bits: mx.array, width: int) -> mx.array:
    """Return the codes of so many bits each, lowest first: [..., N·width] → [..., N]."""
    parts = bits.reshape(*bits.shape[:-1], bits.shape[-1] // width, width)
    codes = parts[..., 0]
    for k in range(1, width):  # adding slices beats a sum over so short an axis several times
        codes = codes | (parts[..., k] << k)
    return codes
