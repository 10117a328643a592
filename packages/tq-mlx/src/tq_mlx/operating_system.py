"""Refuses, when it is imported, an operating system that the contract does not name: nothing here was tried on it."""

import platform

import tq_contract
from tq_mlx.errors import UnsupportedSystemError


def require(system: str) -> None:
    """Raise UnsupportedSystemError unless the contract names a platform of that system, as `platform.system` does."""
    known = sorted({one.system for one in tq_contract.load().platforms})
    if system not in known:
        raise UnsupportedSystemError(
            f"tq_mlx runs on {' and '.join(known)}, not on {system}: use one of these; tq-contract works here"
        )


require(platform.system())
