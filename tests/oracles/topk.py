"""The top-k residual codec by its definition: one group at a time, in float64."""

import numpy as np
from tests.oracles.bfloat16 import rounded


def restored_group(y: np.ndarray, bits: int, k: int) -> np.ndarray:
    """What a group of at most g coordinates decodes to; scale, bias and residuals are stored as bfloat16."""
    y, top = y.astype(np.float64), 2**bits - 1
    bias = float(rounded(y.min()))
    scale = float(rounded((y.max() - y.min()) / top))
    codes = np.clip(np.round((y - bias) / scale), 0, top) if scale > 0 else np.zeros_like(y)
    base = codes * scale + bias
    kept = np.argsort(-np.abs(y - base), kind="stable")[:k]
    base[kept] += rounded(y - base)[kept]
    return base


def restored(y: np.ndarray, bits: int, group_size: int, k: int) -> np.ndarray:
    """What vectors [N, D] decode to."""
    starts = range(0, y.shape[-1], group_size)
    rows = [[restored_group(row[s : s + group_size], bits, k) for s in starts] for row in y]
    return np.array([np.concatenate(row) for row in rows])
