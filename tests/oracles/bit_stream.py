"""Packing by Python integers: one big number per vector, code j at bit j·b, cut into 32-bit words."""

from collections.abc import Sequence


def words_of(codes: Sequence[int], bits: int) -> list[int]:
    stream = 0
    for j, code in enumerate(codes):
        stream += int(code) * 2 ** (j * bits)
    count = (len(codes) * bits + 31) // 32
    return [stream // 2 ** (32 * w) % 2**32 for w in range(count)]


def codes_of(words: Sequence[int], bits: int, length: int) -> list[int]:
    stream = sum(int(word) * 2 ** (32 * w) for w, word in enumerate(words))
    return [stream // 2 ** (j * bits) % 2**bits for j in range(length)]
