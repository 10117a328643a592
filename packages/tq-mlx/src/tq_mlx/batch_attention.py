"""Attention over a batch: row by row, since no two rows need have the same length."""

from typing import Any

import mlx.core as mx

from tq_mlx.attention import streaming_attention
from tq_mlx.batch_views import BatchKeysView, BatchValuesView, Run
from tq_mlx.errors import UnsupportedAttentionError
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView

KeysView = TurboQuantKeysView | BatchKeysView
ValuesView = TurboQuantValuesView | BatchValuesView


def attend(queries: mx.array, keys: KeysView, values: ValuesView, **options: Any) -> mx.array:
    """Return the attention [B, Hq, L, Dv] over what a cache handed out, a batched one or not.

    Args:
        queries: [B, Hq, L, Dk].
        keys: view of one sequence's history, or of a batch's.
        values: their values.
        options: as for ``streaming_attention``.

    Raises:
        UnsupportedAttentionError: keys and values are not of one cache, or what ``streaming_attention`` raises.
    """
    if isinstance(keys, BatchKeysView) and isinstance(values, BatchValuesView):
        return batch_attention(queries, keys, values, **options)
    if isinstance(keys, TurboQuantKeysView) and isinstance(values, TurboQuantValuesView):
        return streaming_attention(queries, keys, values, **options)
    raise UnsupportedAttentionError(
        f"the keys are a compressed cache's but the values are a {type(values).__name__}: leave this model's "
        "cache dense"
    )


def batch_attention(
    queries: mx.array,
    keys: BatchKeysView,
    values: BatchValuesView,
    *,
    mask: mx.array | str | None = None,
    **options: Any,
) -> mx.array:
    """Return what ``streaming_attention`` returns for each row; zeros for queries that are padding.

    Args:
        queries: [B, Hq, L, Dk].
        keys: of all rows.
        values: of all rows.
        mask: None, "causal", or an array that broadcasts to [B, Hq, L, columns].
        options: ``scale`` and the other options of ``streaming_attention``.

    Returns:
        [B, Hq, L, Dv] of the queries' dtype.
    """
    batch, heads, length, _ = queries.shape
    if batch != len(keys.runs):
        raise UnsupportedAttentionError(
            f"queries of {batch} rows do not fit a batch of {len(keys.runs)}: one per sequence"
        )
    rows: list[mx.array] = []
    for index, (run, own_keys, own_values) in enumerate(zip(keys.runs, keys.rows, values.rows, strict=True)):
        if not run.count or own_keys is None or own_values is None:
            rows.append(mx.zeros((1, heads, length, values.shape[3]), dtype=queries.dtype))
            continue
        own_queries = queries[index : index + 1, :, run.fed]
        attended = streaming_attention(own_queries, own_keys, own_values, mask=row_mask(mask, index, run), **options)
        padding = (run.skipped, length - run.skipped - run.count)
        rows.append(mx.pad(attended, [(0, 0), (0, 0), padding, (0, 0)]) if any(padding) else attended)
    return mx.concatenate(rows)


def row_mask(mask: mx.array | str | None, index: int, run: Run) -> mx.array | str | None:
    """Return a row's part of the mask: its queries, and the columns of its tokens."""
    if not isinstance(mask, mx.array):
        return mask
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    if mask.shape[0] > 1:
        mask = mask[index : index + 1]
    if mask.shape[2] > 1:
        mask = mask[:, :, run.fed]
    return mask[..., run.columns] if mask.shape[3] > 1 else mask
