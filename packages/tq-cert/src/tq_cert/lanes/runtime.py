"""The one place that decides whether MLX and our runtime are there, and turns their refusals into tq-cert's errors."""

from collections.abc import Generator
from contextlib import contextmanager

from tq_cert.errors import MissingDependencyError, RuntimeRefusalError
from tq_contract import UnknownNameError


def require() -> None:
    """Import the runtime: before anything else imports MLX, because it loads OpenBLAS for it.

    Raises:
        MissingDependencyError: it is not installed.
        RuntimeRefusalError: it does not work with this version of mlx-lm.
    """
    try:
        import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise MissingDependencyError(error.name or "tq_mlx", "measure on a model", "run") from error
    except RuntimeError as error:
        from tq_core import TurboQuantError

        if isinstance(error, TurboQuantError):
            raise RuntimeRefusalError(error) from error
        raise


@contextmanager
def refusals() -> Generator[None]:
    """Turn the runtime's typed errors into RuntimeRefusalError; after `require`."""
    from tq_core import TurboQuantError

    try:
        yield
    except (TurboQuantError, UnknownNameError) as error:
        raise RuntimeRefusalError(error) from error


def device() -> str:
    """MLX's default device and its name; after `require`."""
    import mlx.core as mx

    name = mx.device_info().get("device_name", "unknown")
    return f"{mx.default_device()} {name}"


def openblas() -> str:
    """What became of loading OpenBLAS; after `require`."""
    import tq_mlx

    return tq_mlx.openblas.outcome
