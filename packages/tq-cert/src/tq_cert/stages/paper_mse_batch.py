"""Rows of a batch with different lengths and left padding equal their single runs.

Every row is prefilled and compressed alone; then the rows are merged, as mlx-lm's batched generation merges them, and
decode the same tokens that each decodes alone. Nothing is coded meanwhile: what is compared is attention over the same
codes, so that nothing but rounding may differ.
"""

from typing import Any

import tq_mlx  # noqa: F401  (first: it loads OpenBLAS before MLX is imported)  # pyright: ignore[reportUnusedImport]

# isort: split
import mlx.core as mx

from tq_cert.lanes.prefill import Caches, prefilled
from tq_cert.stages.compressed_run import follow, not_read, to_compress, upgraded
from tq_cert.stages.recorder import At, Recorder
from tq_cert.stages.setting import Setting

LENGTHS = (270, 333, 394)
"""Tokens of the rows: each leaves room in its tail for more steps than are decoded."""

STEPS = 24


def measure(setting: Setting, recorder: Recorder) -> None:
    """Decode three rows alone and together."""
    for family in setting.families:
        for preset in setting.stage.presets:
            with recorder.case(f"{family}: rows of a batch with {preset} equal their single runs"):
                compare(setting, recorder, family, preset)


def compare(setting: Setting, recorder: Recorder, family: str, preset: str) -> None:
    """Record how far the logits of each row differ between the two runs."""
    model = setting.model(family).model
    windows = setting.windows(family, context=max(LENGTHS) + STEPS, windows=len(LENGTHS))
    dense = [prefilled(model, row[:length], setting.sizes.chunk) for row, length in zip(windows, LENGTHS, strict=True)]
    alone = [upgraded(caches, preset, family) for caches in dense]
    merged: Caches = [
        rows[0].merge(list(rows)) for rows in zip(*(upgraded(d, preset, family) for d in dense), strict=True)
    ]
    fed = [row[length : length + STEPS] for row, length in zip(windows, LENGTHS, strict=True)]
    single = [follow(model, caches, tokens) for caches, tokens in zip(alone, fed, strict=True)]
    together = follow_batch(model, merged, fed)
    for index, (length, expected) in enumerate(zip(LENGTHS, single, strict=True)):
        at = At(family, preset, length, f"row {index}")
        errors: list[float] = mx.abs(together[:, index] - expected).max(axis=-1).tolist()  # pyright: ignore[reportAssignmentType]
        recorder.add("logit_difference", "absolute", errors, at)
        unread = not_read(alone[index], to_compress(dense[index]), STEPS)
        recorder.add("layers_not_read", "layers", [unread], at)
    apart: list[Caches] = [[cache.extract(index) for cache in merged] for index in range(len(LENGTHS))]
    unread = sum(not_read(caches, to_compress(dense[index]), STEPS) for index, caches in enumerate(apart))
    recorder.add("layers_not_read", "layers", [unread], At(family, preset, prompt="batch"))


def follow_batch(model: Any, caches: Caches, rows: list[tuple[int, ...]]) -> mx.array:
    """The logits [n, B, V] in float32 of n steps with a token of every row."""
    steps = [
        model(mx.array([[token] for token in tokens]), cache=caches)[:, -1].astype(mx.float32)
        for tokens in zip(*rows, strict=True)
    ]
    mx.eval(steps)
    return mx.stack(steps)
