"""A cache's state survives save and load bit for bit, for every codec."""

from pathlib import Path
from typing import Any

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
from mlx.utils import tree_flatten  # pyright: ignore[reportUnknownVariableType]

from tq_cert.stages.recorder import At, Recorder, check
from tq_cert.stages.setting import Setting
from tq_cert.stages.synthetic import keys_and_values

HEAD_DIMS = (64, 128, 256)
TOKENS = 333
"""More than a sink, a tail and some blocks, and no multiple of anything."""


def measure(setting: Setting, recorder: Recorder) -> None:
    """Save and load a cache of every preset and head dimension."""
    for preset in setting.stage.presets:
        for head_dim in HEAD_DIMS:
            with recorder.case(f"{preset} at head dimension {head_dim}"):
                cache = tq_mlx.TurboQuantKVCache(setting.config(preset))
                cache.update_and_fetch(*keys_and_values(TOKENS, head_dim=head_dim, seed=head_dim))
                again = written_and_read(cache, setting.folder / "roundtrip.safetensors")
                unequal = unequal_arrays(cache.state, again.state)
                at = At(preset=preset, prompt=f"head dimension {head_dim}", seed=head_dim)
                recorder.add("unequal_arrays", "arrays", [len(unequal)], at)
                check(not unequal, f"these differ after save and load: {', '.join(unequal)}")


def written_and_read(cache: Any, path: Path) -> Any:
    """The cache as a file gives it back."""
    tq_mlx.save_cache(path, [cache])
    (again,) = tq_mlx.load_cache(path)
    return again


def unequal_arrays(before: Any, after: Any) -> list[str]:
    """Names of the parts of a state that are missing on one side or differ in any bit, shape or dtype."""
    left, right = dict(tree_flatten(before)), dict(tree_flatten(after))
    return [name for name in sorted(left | right) if not same(left.get(name), right.get(name))]


def same(one: Any, other: Any) -> bool:
    """Whether two leaves are the same, arrays to the bit."""
    if not isinstance(one, mx.array) or not isinstance(other, mx.array):
        return type(one) is type(other) and one == other
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    return not one.size or bool(mx.array_equal(one.reshape(-1).view(mx.uint8), other.reshape(-1).view(mx.uint8)).item())
