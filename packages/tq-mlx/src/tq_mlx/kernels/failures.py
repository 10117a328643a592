"""What happened to kernels in this process: those that failed, and why. Also logged, as a warning."""

import logging
from collections.abc import Hashable
from dataclasses import dataclass

log = logging.getLogger("tq_mlx.kernels")


@dataclass(frozen=True)
class KernelFailure:
    """A fused kernel that is not used any more: the reference does its work.

    Attributes:
        kernel: what it was compiled for.
        reason: the error, or by how much its trial was off.
    """

    kernel: str
    reason: str


failures: dict[Hashable, KernelFailure] = {}
"""What a kernel was compiled for → how it failed."""


def record_failure(kernel: Hashable, reason: str) -> None:
    """Note that a kernel failed; it is not tried again."""
    failures[kernel] = KernelFailure(str(kernel), reason)
    log.warning("a fused kernel failed, going on with the reference path: %s: %s", kernel, reason)


def failure_of(kernel: Hashable) -> KernelFailure | None:
    """Return how the kernel failed, or None."""
    return failures.get(kernel)
