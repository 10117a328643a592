"""A saved and loaded cache goes on with the same next-token logits."""

from pathlib import Path
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx

from tq_cert.lanes.prefill import Caches, prefilled
from tq_cert.stages.compressed_run import follow, upgraded
from tq_cert.stages.recorder import At, Recorder
from tq_cert.stages.setting import Setting


def measure(setting: Setting, recorder: Recorder) -> None:
    """Save, load and go on, for every family and preset."""
    sizes = setting.sizes
    for family in setting.families:
        model = setting.model(family).model
        (tokens,) = setting.windows(family, context=sizes.smoke_prompt + sizes.smoke_tokens)
        dense = prefilled(model, tokens[: sizes.smoke_prompt], sizes.chunk)
        for preset in setting.stage.presets:
            with recorder.case(f"{family} goes on from a file with {preset}"):
                caches = upgraded(dense, preset, family)
                errors = differences(model, caches, tokens[sizes.smoke_prompt :], setting.folder / "cache.safetensors")
                at = At(family, preset, sizes.smoke_prompt)
                recorder.add("logit_difference", "absolute", errors, at)


def differences(model: Any, caches: Caches, tokens: tuple[int, ...], path: Path) -> list[float]:
    """The largest difference of the logits at each step between the caches and what a file gives back of them."""
    tq_mlx.save_cache(path, caches, model=model)
    loaded = tq_mlx.load_cache(path, model=model)
    expected, got = follow(model, caches, tokens), follow(model, loaded, tokens)
    found: list[float] = mx.abs(got - expected).max(axis=-1).tolist()  # pyright: ignore[reportAssignmentType]
    return found
