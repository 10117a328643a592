"""Attention by its definition, in float64."""

import numpy as np


def attention(queries, keys, values, *, scale, mask=None, sinks=None, softcap=None):
    """softmax(cap(scale · q·k) + mask) · v for queries [B, Hq, L, D] over keys and values [B, Hk, T, D]."""
    queries, keys, values = (np.asarray(x, dtype=np.float64) for x in (queries, keys, values))
    group, length, tokens = queries.shape[1] // keys.shape[1], queries.shape[2], keys.shape[2]
    keys, values = keys.repeat(group, axis=1), values.repeat(group, axis=1)
    scores = scale * queries @ keys.swapaxes(-1, -2)
    if softcap is not None:
        scores = softcap * np.tanh(scores / softcap)
    if isinstance(mask, str):
        mask = np.arange(tokens) <= np.arange(tokens - length, tokens)[:, None]
    if mask is not None:
        mask = np.asarray(mask)
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if sinks is not None:
        sinks = np.asarray(sinks, dtype=np.float64)[None, :, None, None]
        scores = np.concatenate([scores, np.broadcast_to(sinks, (*scores.shape[:3], 1))], axis=-1)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights[..., :tokens] @ values
