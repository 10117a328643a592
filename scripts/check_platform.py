"""Says what to do where MLX has no packages for the Python that runs this; `make setup` asks it first."""

from __future__ import annotations  # a Python older than ours gets as far as uv, which says so

import platform
import sys

MACHINES = ("Darwin arm64", "Linux x86_64", "Linux aarch64")
MACOS = (14,)
GLIBC = (2, 35)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def missing(system: str, machine: str, macos: str, libc: tuple[str, str], *, wide: bool) -> str | None:
    """Return what this machine lacks; None where MLX has packages for it.

    Args:
        system: as `platform.system` says.
        machine: as `platform.machine` says.
        macos: version of macOS, empty elsewhere.
        libc: name and version of the C library, empty where it is not glibc.
        wide: whether this Python has 64 bits.
    """
    if f"{system} {machine}" not in MACHINES or not wide:
        return f"a 64-bit Python on {', '.join(MACHINES)}"
    if system == "Darwin" and numbers(macos) < MACOS:
        return f"macOS {MACOS[0]} or newer"
    if system == "Linux" and (libc[0] != "glibc" or numbers(libc[1]) < GLIBC):
        return f"glibc {'.'.join(map(str, GLIBC))} or newer"
    return None


def main() -> int:
    here = platform.system(), platform.machine(), platform.mac_ver()[0], platform.libc_ver()
    lacking = missing(*here, wide=sys.maxsize > 2**32)
    if lacking is None:
        return 0
    found = " ".join(part for part in (*here[:3], *here[3]) if part)
    print(
        f"MLX has no packages for this Python, {sys.executable} on {found}: needed is {lacking}.\n"
        "What needs no MLX works here: pip install packages/tq-contract packages/tq-cert, "
        "then tq-contract check and tq-cert verify",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
