"""What kind of machine this is: its model, its memory, and whether it only pretends to be one."""

import os
import platform
import subprocess
from pathlib import Path


def hardware() -> str:
    """The machine's model, such as Mac15,9; the processor's name where a machine has no model."""
    if platform.system() == "Darwin":
        return sysctl("hw.model") or "unknown"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Hardware")))
    return next(names, "") or platform.processor() or "unknown"


def memory_bytes() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def is_virtual(device: str) -> bool:
    """Whether macOS runs under a hypervisor, or the GPU of this name is a virtual one."""
    return sysctl("kern.hv_vmm_present") == "1" or "paravirtual" in device.lower()


def is_translated() -> bool:
    """Whether Rosetta translates this process."""
    return sysctl("sysctl.proc_translated") == "1"


def sysctl(name: str) -> str | None:
    """What macOS says of itself; None elsewhere, and where it does not know the name."""
    if platform.system() != "Darwin":
        return None
    try:
        done = subprocess.run(  # noqa: S603 (fixed arguments)
            ["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
