"""Gemma 2's attention over a compressed cache.

mlx-lm's Gemma 2 bends its scores with a soft-cap and therefore computes attention itself, past
scaled_dot_product_attention: its attention layer is replaced instead.
"""

from collections.abc import Callable
from typing import Any, get_args

import mlx.core as mx

from tq_mlx.batch_attention import attend
from tq_mlx.compressed import CompressedCache


def attention(
    original: Callable[..., mx.array],
    layer: Any,
    x: mx.array,
    mask: mx.array | None = None,
    cache: Any = None,
) -> mx.array:
    """Return the layer's output for hidden states x [B, L, hidden]; with any other cache, exactly the original's.

    Args:
        original: the layer's own ``__call__``.
        layer: an ``mlx_lm.models.gemma2.Attention``.
        x: hidden states.
        mask: None, boolean or additive, as for ``streaming_attention``.
        cache: the layer's cache, or None.
    """
    if type(cache) not in get_args(CompressedCache):  # a subclass may hand out something else than views
        return original(layer, x, mask, cache)

    def heads(projected: mx.array, count: int) -> mx.array:
        return projected.reshape(*x.shape[:2], count, layer.head_dim).swapaxes(1, 2)

    queries = layer.rope(heads(layer.q_proj(x), layer.n_heads), offset=cache.offset)
    keys = layer.rope(heads(layer.k_proj(x), layer.n_kv_heads), offset=cache.offset)
    values = heads(layer.v_proj(x), layer.n_kv_heads)
    out = attend(
        queries,
        *cache.update_and_fetch(keys, values),
        scale=layer.scale,
        mask=mask,
        softcap=layer.attn_logit_softcapping,
    )
    return layer.o_proj(out.swapaxes(1, 2).reshape(*x.shape[:2], -1))
