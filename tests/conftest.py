"""What every test run shares: a fast BLAS under MLX, and hypothesis profiles."""

import ctypes
import os

import hypothesis
import pytest

OPENBLAS = "libopenblas.so.0"


def preload_openblas() -> str | None:
    """Load OpenBLAS before MLX, whose CPU wheel carries a slow reference BLAS; return what is missing, if anything."""
    if os.uname().sysname != "Linux":
        return None  # Accelerate is there
    try:
        ctypes.CDLL(OPENBLAS, ctypes.RTLD_GLOBAL)
    except OSError:
        return f"{OPENBLAS} is missing: matrix products are about 30 times slower (Debian: libopenblas0-pthread)"
    return None


MISSING_BLAS = preload_openblas()

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_report_header() -> list[str]:
    return [MISSING_BLAS] if MISSING_BLAS else []


@pytest.fixture(scope="session")
def real_model():
    """Return the directory of a real model by family: $TQ_TEST_<FAMILY>_MODEL, or the sample model, built once."""

    def directory(family: str) -> str:
        from tq_cert import sample_models

        return os.environ.get(f"TQ_TEST_{family.upper()}_MODEL") or str(sample_models.build(family).directory)

    return directory
