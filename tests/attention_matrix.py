"""Every kind of attention that a compressed cache must serve; a new path (batched, fused) joins by running these."""

from dataclasses import dataclass
from itertools import cycle, product

import mlx.core as mx
import numpy as np
from mlx_lm.models.base import create_causal_mask

from oracles.attention import attention
from vectors import queries

TOKENS = 600
"""Tokens of the histories: sink, codes and tail, with more of each than a piece of the online softmax holds."""

SCALE = 0.125
WINDOW = 90
PADDING = 37
"""Tokens of left padding of every second row."""


@dataclass(frozen=True)
class Case:
    """One call of attention; ``heads`` are (query heads, KV heads)."""

    mask: str
    length: int
    heads: tuple[int, int]
    dtype: mx.Dtype
    sinks: bool
    softcap: float | None
    batch: int = 2

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("mlx.core.")
        extras = "-sinks" * self.sinks + f"-cap {self.softcap}" * (self.softcap is not None)
        return f"{self.mask}-L{self.length}-{self.heads[0]}over{self.heads[1]}-{dtype}{extras}"

    def queries(self, head_dim=64):
        return queries(self.length, batch=self.batch, heads=self.heads[0], head_dim=head_dim, dtype=self.dtype)

    def options(self):
        """Return scale, mask, sinks and soft-cap as streaming_attention takes them."""
        sinks = mx.linspace(-2, 6, self.heads[0]).astype(self.dtype) if self.sinks else None
        return {"scale": SCALE, "mask": self.mask_array(), "sinks": sinks, "softcap": self.softcap}

    def mask_array(self):
        key, offset = mx.random.key(1), TOKENS - self.length
        shape = (self.batch, self.heads[0], self.length, TOKENS)
        match self.mask:
            case "none":
                return None
            case "causal":
                return "causal"
            case "causal array":
                return create_causal_mask(self.length, offset)
            case "boolean":
                return mx.random.uniform(shape=(self.batch, 1, *shape[2:]), key=key) > 0.4
            case "boolean per head":
                return mx.random.uniform(shape=shape, key=key) > 0.4
            case "boolean per row":  # broadcast over queries
                return mx.random.uniform(shape=(self.batch, 1, 1, TOKENS), key=key) > 0.4
            case "additive":
                return mx.random.normal(shape[2:], key=key).astype(self.dtype)
            case "additive per head":
                return mx.random.normal(shape, key=key).astype(self.dtype)
            case "additive causal":
                return mx.where(create_causal_mask(self.length, offset), 0.0, -mx.inf).astype(self.dtype)
            case "window":
                return create_causal_mask(self.length, offset, window_size=WINDOW)
            case "left padding":
                padding = mx.array([PADDING * (row % 2) for row in range(self.batch)])
                return create_causal_mask(self.length, offset, left_padding=padding)
        raise ValueError(self.mask)

    def check(self, keys, values, *outs):
        """Assert that each out is the attention over keys and values (float32), up to rounding to its own dtype."""
        q, options = self.queries(keys.shape[3]).astype(mx.float32), self.options()
        for name in ("mask", "sinks"):
            if isinstance(options[name], mx.array) and options[name].dtype != mx.bool_:
                options[name] = options[name].astype(mx.float32)
        truths = [attention(q, keys, values, **options)]
        if options.pop("softcap") is None:
            truths.append(np.asarray(mx.fast.scaled_dot_product_attention(q, keys, values, **options)))
        for out, truth in product(outs, truths):
            assert (out.dtype, out.shape) == (self.dtype, truth.shape)
            error = np.abs(np.asarray(out.astype(mx.float32)) - truth)
            allowed = 1e-4 + float(mx.finfo(self.dtype).eps) * np.abs(truth)
            assert (error <= allowed).all(), (error - allowed).max()


MASKS = (
    "none",
    "causal",
    "causal array",
    "boolean",
    "boolean per head",
    "boolean per row",
    "additive",
    "additive per head",
    "additive causal",
    "window",
    "left padding",
)
LENGTHS = (1, 2, 8, 70, 512)
EXTRAS = ((False, None), (True, None), (False, 5.0), (True, 5.0))
HEADS = ((2, 2), (4, 2), (3, 1), (8, 2), (5, 1), (6, 1), (14, 2), (8, 1), (1, 1), (6, 2), (4, 1))
"""Groups of 1 to 8, multi-query attention among them."""

DTYPES = (mx.float32, mx.bfloat16, mx.float16)

CASES = [
    Case(mask, length, heads, dtype, *extras)
    for (mask, length), heads, dtype, extras in zip(
        product(MASKS, LENGTHS), cycle(HEADS), cycle(DTYPES), cycle(EXTRAS), strict=False
    )
]
"""Each mask with each length, while heads, dtypes and extras take turns: lengths, dtypes, extras meet each other."""
