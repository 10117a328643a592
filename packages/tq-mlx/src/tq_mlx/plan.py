"""What a cache will cost: its bytes at a context, and the longest context within a memory, dense and compressed.

Bytes are those that the caches will have allocated, as their ``nbytes`` says: growth capacity included, after a prompt
that mlx-lm prefilled in its usual blocks. A context reached in other blocks or by decoding may have up to a sixteenth
more room for codes. The memory that computing takes for a moment is not counted, nor are the weights.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor
from typing import Any

from tq_core import Codec
from tq_mlx.config import TurboQuantConfig, with_bits
from tq_mlx.errors import UnsupportedCacheError
from tq_mlx.key_bits import FEWEST, MOST, MeanBits
from tq_mlx.model_shape import Growing, LayerShape, ModelShape
from tq_mlx.planned_segments import PlannedSegments, segments_at
from tq_mlx.support import Verdict, admit_family, family_of, judge

LONGEST = 2**24
"""Longer contexts are not looked at."""

MEAN_BYTES = 4
"""Bytes per value of a head's mean key, float32."""


@dataclass(frozen=True)
class DensePlan:
    """The cache as mlx-lm makes it."""

    layers: tuple[LayerShape, ...]

    def bytes_at(self, tokens: int) -> int:
        """Return the bytes allocated once that many tokens are held."""
        return sum(layer.bytes_at(tokens) for layer in self.layers)

    def longest(self, memory: int) -> int:
        """Return the longest context that fits in so many bytes, as do all shorter ones; LONGEST at most."""
        return bisect_right(range(1, LONGEST + 1), memory, key=self.bytes_at)


@dataclass(frozen=True)
class CompressedPlan:
    """The cache under one configuration.

    Attributes:
        config: what compresses.
        verdicts: what the support gate says of each layer.
        dense: the layers that stay as they are.
        compressed: the layers that do not.
    """

    config: TurboQuantConfig
    verdicts: tuple[Verdict, ...]
    dense: DensePlan
    compressed: tuple[Growing, ...]

    @property
    def is_bound(self) -> bool:
        """Whether the bytes are only the most that may be: a rule chooses each layer's key bits from its keys."""
        return self.config.key_bits is not None

    @cached_property
    def key_bytes(self) -> int:
        """Bytes that one coded key takes, over all compressed layers."""
        return most_key_bytes(self.config, self.compressed)

    @cached_property
    def coded_bytes_per_token(self) -> int:
        """Bytes that one coded token takes, over all compressed layers."""
        values = [coded_bytes(self.config.values, layer.heads, layer.value_dim) for layer in self.compressed]
        return sum(values) + self.key_bytes

    @property
    def bits_per_value(self) -> float | None:
        """Stored bits per coded value, the means of blocks included; None where nothing is compressed."""
        values = sum(layer.heads * (layer.key_dim + layer.value_dim) for layer in self.compressed)
        means = self.key_bytes / self.config.center_block if self.config.center_block else 0
        return 8 * (self.coded_bytes_per_token + means) / values if values else None

    def bytes_at(self, tokens: int) -> int:
        """Return the bytes allocated once that many tokens are held."""
        return self.allocated(tokens, segments_at(tokens, self.config))

    def longest(self, memory: int) -> int:
        """Return the longest context that fits in so many bytes, as do all shorter ones; LONGEST at most."""
        if not self.compressed:
            return self.dense.longest(memory)

        def most_at(tokens: int) -> int:
            return self.allocated(tokens, segments_at(tokens, self.config).with_fullest_tail(self.config))

        # Codes alone say how far it is worth looking.
        beside = self.config.sink_tokens + self.config.tail_tokens + self.config.block_tokens
        last = min(LONGEST, memory // self.coded_bytes_per_token + beside)
        return bisect_right(range(1, last + 1), memory, key=most_at)

    def allocated(self, tokens: int, segments: PlannedSegments) -> int:
        """Return the bytes of all layers whose compressed ones are so filled."""
        uncoded = segments.tail_capacity + (self.config.sink_tokens if segments.sink else 0)
        total = self.dense.bytes_at(tokens) + segments.packed_capacity * self.coded_bytes_per_token
        for layer in self.compressed:
            total += uncoded * layer.bytes_per_token
            if self.config.center_keys and segments.packed:
                total += MEAN_BYTES * layer.heads * layer.key_dim
        if self.config.center_block is not None:  # each block's deviation from the mean is coded like a key
            total += -(-segments.packed // self.config.center_block) * self.key_bytes
        return total


def compressed_plan(shape: ModelShape, config: TurboQuantConfig) -> CompressedPlan:
    """Return what the configuration would do to the model.

    Raises:
        UnsupportedFamilyError, UnsupportedCacheError, UnsupportedHeadDimError: the support gate refuses it.
    """
    admit_family(family_of(shape))
    verdicts = tuple(judge(shape.caches, config))
    pairs = list(zip(shape.layers, verdicts, strict=True))
    return CompressedPlan(
        config=config,
        verdicts=verdicts,
        dense=DensePlan(tuple(layer for layer, verdict in pairs if not verdict.compress)),
        compressed=tuple(growing_part(layer) for layer, verdict in pairs if verdict.compress),
    )


def growing_part(layer: LayerShape) -> Growing:
    """Return the one growing part of a layer; UnsupportedCacheError if it is made otherwise."""
    if len(layer.parts) != 1 or type(layer.parts[0]) is not Growing:
        raise UnsupportedCacheError(
            f"what a compressed {layer.cache} takes is not known: nothing can be planned for it"
        )
    return layer.parts[0]


def coded_bytes(codec: Codec[Any], heads: int, head_dim: int) -> int:
    """Return the bytes of one token's codes in one layer."""
    return round(heads * head_dim * codec.bits_per_value(head_dim) / 8)


def most_key_bytes(config: TurboQuantConfig, layers: Sequence[Growing]) -> int:
    """Return the bytes of one token's key codes in all layers; with a rule for key bits, the most that it may choose.

    Under a budget that is the dearest way to spend it: the most bytes that the layers so far can take with j bits more
    than the fewest, for every j.
    """
    if config.key_bits is None:
        return sum(coded_bytes(config.keys, layer.heads, layer.key_dim) for layer in layers)
    widths = range(FEWEST, MOST + 1)
    codecs = {bits: with_bits(config.keys, bits) for bits in widths}
    mean = config.key_bits.mean if isinstance(config.key_bits, MeanBits) else MOST
    extra = floor((mean - FEWEST) * len(layers) + 1e-9)
    most = [0] * (extra + 1)
    for layer in layers:
        costs = [coded_bytes(codecs[bits], layer.heads, layer.key_dim) for bits in widths]
        most = [max(most[j - more] + cost for more, cost in enumerate(costs) if more <= j) for j in range(extra + 1)]
    return most[extra]
