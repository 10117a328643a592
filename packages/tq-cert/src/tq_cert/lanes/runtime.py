"""The one place that decides whether MLX and our runtime are there, and turns their refusals into tq-cert's errors."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from tq_cert.errors import MissingDependencyError, OptionError
from tq_cert.lanes.errors import RuntimeRefusalError
from tq_cert.lanes.provenance import Provenance, collect
from tq_contract import UnknownNameError


def require() -> None:
    """Import the runtime: before anything else imports MLX, because it loads OpenBLAS for it.

    Raises:
        MissingDependencyError: it is not installed.
        RuntimeRefusalError: it does not work with this version of mlx-lm, or on this operating system.
    """
    try:
        import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except (ImportError, RuntimeError) as error:
        if is_refusal(error):
            raise RuntimeRefusalError(error) from error
        if isinstance(error, ImportError):
            raise MissingDependencyError(error.name or "tq_mlx", "measure on a model", "run") from error
        raise


def is_refusal(error: Exception) -> bool:
    """Whether the runtime raised it on purpose; without MLX there is no runtime."""
    try:
        from tq_core import TurboQuantError
    except ImportError:
        return False
    return isinstance(error, TurboQuantError)


@contextmanager
def refusals() -> Generator[None]:
    """Turn the runtime's typed errors into RuntimeRefusalError; after `require`."""
    from tq_core import TurboQuantError

    try:
        yield
    except (TurboQuantError, UnknownNameError) as error:
        raise RuntimeRefusalError(error) from error


def use_device(name: Literal["cpu", "gpu"] | None) -> Literal["cpu", "gpu"]:
    """Make this MLX's default device, or leave MLX's own choice, and return which one it is; after `require`.

    Raises:
        OptionError: MLX has no such device here.
    """
    import mlx.core as mx

    if name is not None:
        chosen = mx.Device(mx.gpu if name == "gpu" else mx.cpu)
        if not mx.is_available(chosen):
            raise OptionError("--device", f"MLX has no {name} on this machine", "leave it out, or install MLX for it")
        mx.set_default_device(chosen)
    return "gpu" if mx.default_device().type == mx.gpu else "cpu"


def provenance() -> Provenance:
    """What this process runs on, MLX's default device and the fate of OpenBLAS included; after `require`."""
    import mlx.core as mx

    import tq_mlx

    name = mx.device_info().get("device_name", "unknown")
    return collect(device=f"{mx.default_device()} {name}", openblas=tq_mlx.openblas.outcome)
