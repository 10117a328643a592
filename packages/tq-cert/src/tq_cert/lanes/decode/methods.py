"""One synthetic history in every form that attention reads: dense, mlx-lm's quantized cache, and our presets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx.utils import tree_map  # pyright: ignore[reportUnknownVariableType]
from mlx_lm.models.base import (
    quantized_scaled_dot_product_attention,  # pyright: ignore[reportUnknownVariableType]
)
from mlx_lm.models.cache import QuantizedKVCache

from tq_cert.lanes.decode.settings import DENSE, QUANTIZED, Shape
from tq_cert.lanes.errors import CodesNotReadError
from tq_core import Code, Codec
from tq_mlx import TurboQuantConfig, TurboQuantKVCache
from tq_mlx.kernels.choose import path_for

QUANTIZED_BITS, QUANTIZED_GROUP = 4, 64

Quantized = tuple[mx.array, mx.array, mx.array]
"""Words, scales and biases."""

Attend = Callable[[mx.array], mx.array]
"""Queries [B, Hq, 1, D] → outputs of the same shape and dtype."""


@dataclass(frozen=True)
class Layer:
    """One layer's cache and what reads it.

    Attributes:
        attend: computes attention over the cache.
        nbytes: that it reads.
        copy: makes a layer over a copy of the cache.
        path: how products with codes are taken.
    """

    attend: Attend
    nbytes: int
    copy: "Callable[[], Layer]"
    path: str = ""


@dataclass(frozen=True)
class Form:
    """A method in one dtype.

    Attributes:
        method: its name.
        dtype: of the queries and of what stays dense.
        build: makes a layer from keys and values [B, Hk, T, D] in float32.
    """

    method: str
    dtype: mx.Dtype
    build: Callable[[mx.array, mx.array, Shape], Layer]

    @property
    def dtype_name(self) -> str:
        """Name of the dtype."""
        return str(self.dtype).removeprefix("mlx.core.")


def forms(presets: tuple[str, ...]) -> Iterator[Form]:
    """What is measured: on a CPU in float32, what is not ours in bfloat16 too, on a GPU all in bfloat16."""
    dtypes = (mx.float32, mx.bfloat16) if mx.default_device().type == mx.cpu else (mx.bfloat16,)
    for method, build in ((DENSE, dense), (QUANTIZED, quantized)):
        for dtype in dtypes:
            yield Form(method, dtype, build)
    for preset in presets:
        yield Form(f"preset:{preset}", dtypes[0], compressing(TurboQuantConfig.from_preset(preset)))


def dense(keys: mx.array, values: mx.array, shape: Shape) -> Layer:
    """Attention as models do it without quantization."""
    keys, values = copied([keys, values])

    def attend(q: mx.array) -> mx.array:
        return mx.fast.scaled_dot_product_attention(q, keys, values, scale=shape.head_dim**-0.5)

    return Layer(attend, keys.nbytes + values.nbytes, lambda: dense(keys, values, shape))


def quantized(keys: mx.array, values: mx.array, shape: Shape) -> Layer:
    """mlx-lm's quantized attention over its own cache."""
    cache: Any = QuantizedKVCache(QUANTIZED_GROUP, QUANTIZED_BITS)
    k, v = cache.update_and_fetch(keys, values)
    return over_quantized(k, v, shape)


def over_quantized(k: Quantized, v: Quantized, shape: Shape) -> Layer:
    mx.eval(k, v)

    def attend(q: mx.array) -> mx.array:
        # It scales its argument in place.
        return quantized_scaled_dot_product_attention(
            q * 1, k, v, shape.head_dim**-0.5, None, group_size=QUANTIZED_GROUP, bits=QUANTIZED_BITS
        )

    nbytes = sum(array.nbytes for array in (*k, *v))
    return Layer(attend, nbytes, lambda: over_quantized(copied(k), copied(v), shape), "mx.quantized_matmul")


def compressing(config: TurboQuantConfig) -> Callable[[mx.array, mx.array, Shape], Layer]:
    """Our attention over our cache."""

    def build(keys: mx.array, values: mx.array, shape: Shape) -> Layer:
        cache = TurboQuantKVCache(config)
        cache.load_history(keys, values)
        return over_compressed(cache, shape)

    return build


def over_compressed(cache: TurboQuantKVCache, shape: Shape) -> Layer:
    k, v = cache.keys_and_values()
    mx.eval(cache.state)
    rows = shape.query_heads // shape.kv_heads

    def attend(q: mx.array) -> mx.array:
        return tq_mlx.streaming_attention(q, k, v, scale=shape.head_dim**-0.5)

    kernel = path_for(k, v)
    products = f"K {product_of(k.codec, k.code, rows)}, V {product_of(v.codec, v.code, rows)}"
    path = str(kernel) if kernel.variant else products
    attend(mx.zeros((k.shape[0], shape.query_heads, 1, shape.head_dim), dtype=k.dtype))
    if not cache.reads.count:
        raise CodesNotReadError(cache.config.label, f"a context of {k.shape[2]} tokens leaves nothing coded")

    def copy() -> Layer:
        return over_compressed(TurboQuantKVCache.from_state(copied(cache.state)), shape)

    return Layer(attend, read_bytes(cache), copy, path)


def copied(tree: Any) -> Any:
    """The tree with arrays of the same content in memory of their own, of just their size.

    MLX's CUDA attention takes cuDNN's fast path only over whole buffers, as those of mlx-lm's caches are; a larger one
    that was in use before would make dense attention look four times slower on an H200.
    """

    def copy(leaf: Any) -> Any:
        return leaf + 0 if isinstance(leaf, mx.array) else leaf

    mx.clear_cache()
    copies: Any = tree_map(copy, tree)
    mx.eval(copies)
    return copies


def product_of(codec: Codec[Any], code: Code | None, rows: int) -> str:
    """How products of so many rows with a code are taken."""
    if code is None:
        return "nothing coded"
    return "decoded in runs" if codec.decodes(rows, code) else "mx.quantized_matmul"


def read_bytes(cache: TurboQuantKVCache) -> int:
    """Bytes of the live tokens and of the keys' means, without growth capacity."""
    layout = cache.layout
    if layout is None:
        return 0
    numbers = layout.batch * layout.heads * (layout.key_dim + layout.value_dim)
    live = sum(segment.tokens * segment.bits_per_value * numbers / 8 for segment in cache.memory().values())
    return round(live) + (cache.centre.mean.nbytes if cache.centre else 0)
