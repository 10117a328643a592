"""What this process thinks of its kernels: which passed their trial, and which failed and why (logged as a warning).

MLX compiles a kernel when its result is evaluated, too late to fall back in the midst of a model: so each is evaluated
once by itself, on a small case of which the answer is known, before anything relies on it.
"""

import logging
from collections.abc import Callable, Hashable
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


verdicts: dict[Hashable, KernelFailure | None] = {}
"""What a kernel was compiled for → how it failed, or None if it passed its trial."""


def passes(kernel: Hashable, trial: Callable[[], str | None]) -> bool:
    """Return whether the kernel may be used; if nothing is known of it, ``trial`` says what is wrong with it, or None.

    Raises:
        Exception: whatever the trial raises; no verdict is kept.
    """
    if kernel not in verdicts:
        fault = trial()
        if fault is None:
            verdicts[kernel] = None
        else:
            record_failure(kernel, fault)
    return verdicts[kernel] is None


def record_failure(kernel: Hashable, reason: str) -> None:
    """Note that a kernel failed; it is not tried again."""
    verdicts[kernel] = KernelFailure(str(kernel), reason)
    log.warning("a fused kernel failed, going on with the reference path: %s: %s", kernel, reason)


def failure_of(kernel: Hashable) -> KernelFailure | None:
    """Return how the kernel failed, or None."""
    return verdicts.get(kernel)
