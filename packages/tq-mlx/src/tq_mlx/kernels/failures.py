"""What happened to kernels in this process: those that failed, and why. Also logged, as a warning."""

import logging
from dataclasses import asdict, dataclass
from typing import Any

from tq_mlx.kernels.variant import Variant

log = logging.getLogger("tq_mlx.kernels")


@dataclass(frozen=True)
class KernelFailure:
    """A fused kernel that is not used any more: attention goes on by the reference.

    Attributes:
        kernel: what it was compiled for.
        reason: the error, or by how much its trial was off.
    """

    kernel: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return every field as JSON values."""
        return {"event": "kernel_failure"} | asdict(self)


failures: dict[Variant, KernelFailure] = {}


def record_failure(variant: Variant, reason: str) -> None:
    """Note that a kernel failed; it is not tried again."""
    failures[variant] = KernelFailure(str(variant), reason)
    log.warning("fused attention kernel failed, going on with the reference path: %s: %s", variant, reason)


def failure_of(variant: Variant) -> KernelFailure | None:
    """Return how the kernel failed, or None."""
    return failures.get(variant)


def kernel_failures() -> list[KernelFailure]:
    """Return all failures so far."""
    return list(failures.values())
