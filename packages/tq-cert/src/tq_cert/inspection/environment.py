"""The environment of a run, as one process finds it; every stage's process looks for itself."""

import platform
from typing import Literal

import tq_mlx  # noqa: F401  (first: it loads OpenBLAS before MLX is imported)  # pyright: ignore[reportUnusedImport]

# isort: split
import mlx.core as mx

from tq_cert.evidence import Environment, Variable
from tq_cert.inspection.checkout import find_checkout
from tq_cert.inspection.installation import editable
from tq_cert.inspection.machine import hardware, is_translated, is_virtual, memory_bytes
from tq_cert.lanes.provenance import sources_digest, system, version_of
from tq_contract.preflight import overriding


def find_environment() -> Environment:
    """Look at the machine and at what is installed."""
    device = str(mx.device_info().get("device_name", "unknown"))
    checkout = find_checkout()
    return Environment(
        system=platform.system(),
        system_version=system(),
        machine=platform.machine(),
        python=platform.python_version(),
        mlx=version_of("mlx") or "unknown",
        mlx_lm=version_of("mlx-lm") or "unknown",
        backend=backend(),
        device=device,
        hardware=hardware(),
        memory_bytes=memory_bytes(),
        virtual_gpu=is_virtual(device),
        rosetta=is_translated(),
        editable=editable(),
        dirty=checkout and checkout.dirty,
        sources_sha256=sources_digest(),
        overrides=overrides(),
    )


def backend() -> Literal["metal", "cuda", "cpu"]:
    """What computes by default."""
    if mx.default_device().type == mx.DeviceType.cpu:
        return "cpu"
    return "metal" if mx.metal.is_available() else "cuda"


def overrides() -> tuple[Variable, ...]:
    """The variables that are set and change something."""
    return tuple(Variable(name, value) for name, value in overriding().items())
