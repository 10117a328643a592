"""What a list of caches stores per value: measured on the live arrays, without growth capacity."""

from typing import Any

from tq_mlx.compressed import CompressedCache  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx_lm.models.cache import QuantizedKVCache

from tq_cert.lanes.quality.record import StoredBits

MODEL16 = 16


class Tally:
    """Bits and values, summed over layers."""

    def __init__(self) -> None:
        self.values = 0
        self.model16 = 0.0
        self.as_run = 0.0

    def add(self, bits: float, *, model16: float | None = None) -> None:
        """Count stored bits, and what they would be on a 16-bit model where that differs."""
        self.as_run += bits
        self.model16 += bits if model16 is None else model16

    def add_array(self, array: mx.array, live: int) -> None:
        """Count the first `live` tokens of an array [B, H, capacity, width]; floats are the model's own."""
        elements = array.size // array.shape[-2] * live
        bits = 8 * array.dtype.size
        is_float = mx.issubdtype(array.dtype, mx.floating)
        self.add(elements * bits, model16=elements * (min(bits, MODEL16) if is_float else bits))


def stored_bits(caches: list[Any]) -> StoredBits:
    """Stored bits per value of all layers together, after at least one token."""
    tally = Tally()
    for cache in caches:
        if isinstance(cache, CompressedCache):
            count_compressed(cache, tally)
        elif isinstance(cache, QuantizedKVCache):
            count_quantized(cache, tally)
        else:
            count_dense(cache, tally)
    return StoredBits(model16=tally.model16 / tally.values, as_run=tally.as_run / tally.values)


def count_compressed(cache: CompressedCache, tally: Tally) -> None:
    """Our cache: its segments' live tokens, and whole whatever it holds besides them (means of keys)."""
    layout, memory = cache.layout, cache.memory()
    if layout is None:
        return
    per_token = layout.batch * layout.heads * (layout.key_dim + layout.value_dim)
    tally.values += per_token * sum(segment.tokens for segment in memory.values())
    coded = layout.key_dim * cache.config.keys.bits_per_value(layout.key_dim)
    coded += layout.value_dim * cache.config.values.bits_per_value(layout.value_dim)
    for name, segment in memory.items():
        if name == "packed":
            tally.add(layout.batch * layout.heads * segment.tokens * coded)
        else:
            bits = per_token * segment.tokens * segment.bits_per_value
            tally.add(bits, model16=per_token * segment.tokens * min(segment.bits_per_value, MODEL16))
    tally.add(8 * (cache.nbytes - sum(segment.nbytes for segment in memory.values())))


def count_quantized(cache: Any, tally: Tally) -> None:
    """mlx-lm's quantized cache: codes, scales and biases."""
    for words, scales, biases in (cache.keys, cache.values):
        tally.values += words.size // words.shape[-2] * cache.offset * 32 // cache.bits
        for array in (words, scales, biases):
            tally.add_array(array, cache.offset)


def count_dense(cache: Any, tally: Tally) -> None:
    """A dense cache: the tokens that it keeps."""
    live = cache.size()
    for array in (cache.keys, cache.values):
        tally.values += array.size // array.shape[-2] * live
        tally.add_array(array, min(live, array.shape[-2]))
