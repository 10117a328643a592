"""A codec of your own: derive from Codec, and every cache can use it.

    python examples/custom_codec.py

This one has 16 levels that Gaussian coordinates take equally often. It sounds right, and costs more than Lloyd–Max.
"""

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

from tq_mlx import TurboQuantConfig, TurboQuantKVCache
import mlx.core as mx
from tq_core import Code, Codec, MseCodec, pack, register_codec, unpack


@dataclass(frozen=True)
class EquiprobableCode(Code):
    """Words [..., T, D/8] of 4-bit codes, and root mean squares [..., T, 1] (bfloat16)."""

    words: mx.array
    gain: mx.array


@register_codec
@dataclass(frozen=True)
class EquiprobableCodec(Codec[EquiprobableCode]):
    """Each coordinate's place in the distribution of N(0, 1), in sixteenths."""

    name: ClassVar[str] = "equiprobable"
    code_type: ClassVar[type[Code]] = EquiprobableCode

    def bits_per_value(self, head_dim: int) -> float:
        return 4 + 16 / head_dim

    def quantize(self, y: mx.array) -> EquiprobableCode:
        gain = mx.maximum(mx.sqrt(mx.square(y).mean(axis=-1, keepdims=True)), 1e-30)
        place = (1 + mx.erf(y / (gain * sqrt(2)))) / 2
        codes = mx.minimum(mx.floor(16 * place), 15).astype(mx.uint32)
        return EquiprobableCode(y.shape[-1], pack(codes, 4), gain.astype(mx.bfloat16))

    def dequantize(self, code: EquiprobableCode) -> mx.array:
        place = (unpack(code.words, 4, code.head_dim) + 0.5) / 16
        return mx.erfinv(2 * place - 1) * sqrt(2) * code.gain.astype(mx.float32)


def main() -> None:
    """Compare its error with Lloyd–Max's on Gaussian vectors, and fill a cache with it."""
    x = mx.random.normal((1, 2, 1000, 64), key=mx.random.key(0))
    for codec in (EquiprobableCodec(), MseCodec(bits=4)):
        error = mx.square(codec.decode(codec.encode(x)) - x).sum() / mx.square(x).sum()
        print(f"{codec.label}: {codec.bits_per_value(64)} bits a value, relative error {error.item():.4f}")

    config = TurboQuantConfig(keys=EquiprobableCodec(), values=MseCodec(bits=4))
    cache = TurboQuantKVCache(TurboQuantConfig.from_json(config.to_json()))  # registered, it comes back from text
    cache.update_and_fetch(x, x)
    print({segment: held.tokens for segment, held in cache.memory().items()}, f"{cache.nbytes} bytes")


if __name__ == "__main__":
    main()
