"""The bandwidth of copying an array that no cache holds."""

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  (first: it loads OpenBLAS before MLX is imported)

# isort: split
import mlx.core as mx

from tq_cert.lanes.decode.record import CopyRow
from tq_cert.lanes.decode.settings import Device
from tq_cert.lanes.turns import Job, timed_in_turns
from tq_cert.progress import Progress

SIZE: dict[Device, int] = {"cpu": 1 << 28, "gpu": 1 << 31}
"""Bytes of the array: several times what the caches of such devices hold."""


def copy_row(device: Device, repeats: int, progress: Progress) -> CopyRow:
    """Time the copy."""
    source, target = (mx.zeros((SIZE[device] // 4,), dtype=mx.float32) for _ in range(2))
    mx.eval(source, target)
    copied = source.size - 1

    def copy() -> mx.array:
        target[:copied] = source[:copied]  # all of it would be no copy but another name for the source
        return target

    jobs: dict[str, Job] = {"copy": copy}
    progress.phase("copy", repeats + 1)
    times = timed_in_turns(jobs, repeats, progress)["copy"]
    nbytes = 2 * copied * source.itemsize
    return CopyRow(nbytes, times, nbytes / min(times.clock.samples))
