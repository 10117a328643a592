"""The safetensors file is one that MLX reads, in every dtype, rounded as MLX rounds."""

import hashlib

import mlx.core as mx
import numpy as np
import pytest

from tq_cert.progress import Silent
from tq_cert.sample_models.errors import UnsupportedDtypeError
from tq_cert.sample_models.safetensors_writer import Tensor, write_safetensors


def tensor(name: str, values: np.ndarray) -> Tensor:
    return Tensor(name, values.shape, lambda: iter([values[:2], values[2:]]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_mlx_reads_it_back(dtype: str, tmp_path) -> None:
    random = np.random.default_rng(3)
    ties = np.array([1.00390625, 1.01171875, -1.00390625, 0.0, -0.0, 65504.0], dtype=np.float32)
    matrix = random.standard_normal((5, 7), dtype=np.float32)
    path = tmp_path / "model.safetensors"
    digest = write_safetensors(path, [tensor("a", ties), tensor("b.c", matrix)], dtype, Silent())
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    loaded, metadata = mx.load(str(path), return_metadata=True)
    assert metadata == {"format": "mlx"}
    for name, values in (("a", ties), ("b.c", matrix)):
        expected = mx.array(values).astype(getattr(mx, dtype))
        assert loaded[name].dtype == expected.dtype
        assert loaded[name].shape == expected.shape
        assert mx.array_equal(loaded[name], expected)


def test_unknown_dtype(tmp_path) -> None:
    with pytest.raises(UnsupportedDtypeError, match="'int4'"):
        write_safetensors(tmp_path / "x", [], "int4", Silent())
    assert not (tmp_path / "x").exists()
