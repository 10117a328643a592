"""`tq-cert bench layer-error`: against errors worked out from the codecs and from mlx's own quantizer."""

import msgspec
import pytest

import tq_mlx  # noqa: F401  (first: it loads OpenBLAS before MLX is imported)

# isort: split
import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import make_prompt_cache

from tq_cert.cli import main
from tq_cert.lanes.layer_error.measure import errors
from tq_cert.lanes.layer_error.record import LayerErrorReport
from tq_cert.lanes.quality.methods import parse_methods
from tq_core import MseCodec


def relative(decoded: mx.array, exact: mx.array) -> float:
    a, b = (np.array(each, dtype=np.float64) for each in (decoded, exact))
    return (((a - b) ** 2).sum(axis=-1) / (b**2).sum(axis=-1)).mean()


def test_errors_are_those_of_the_codecs(tiny_llama_loaded) -> None:
    model = tiny_llama_loaded.model
    dense = make_prompt_cache(model)
    mx.eval(model(mx.arange(300)[None] % 100, cache=dense))
    paper, kv4 = parse_methods("preset:paper_mse,mlx:kv4")
    found = errors(model, dense, paper, research=False)
    assert [layer.layer for layer in found] == [0, 1]
    for layer, cache in zip(found, dense, strict=True):
        coded = slice(0, 300 - 128)  # no sinks; the tail of at least 128 stays
        for side, bits in (("keys", 3), ("values", 4)):
            exact = getattr(cache, side)[..., coded, :]
            codec = MseCodec(bits=bits, gain="norm", scale_search=False)
            expected = relative(codec.decode(codec.encode(exact)), exact)
            assert getattr(layer, side) == pytest.approx(expected, rel=0.02)
    for layer, cache in zip(errors(model, dense, kv4, research=False), dense, strict=True):
        exact = mx.contiguous(cache.keys[..., :300, :])
        decoded = mx.dequantize(*mx.quantize(exact, 64, 4), 64, 4)
        assert layer.keys == pytest.approx(relative(decoded, exact), rel=1e-3)


def test_report_and_refusals(tiny_llama_directory, tmp_path, capsys) -> None:
    path = tmp_path / "prose.txt"
    path.write_text("The quick brown fox jumps over the lazy dog, again and again. " * 20)
    command = ["bench", "layer-error", "--model", str(tiny_llama_directory), "--text", str(path), "--context", "300"]
    out = tmp_path / "r.json"
    assert main([*command, "--methods", "mlx:kv4,preset:lloyd_k4v4", "--out", str(out)]) == 0
    report = msgspec.json.decode(out.read_bytes(), type=LayerErrorReport)
    assert [row.method for row in report.rows] == ["mlx:kv4", "preset:lloyd_k4v4"]
    assert all(0 < layer.keys < 0.1 and 0 < layer.values < 0.1 for row in report.rows for layer in row.layers)
    assert main([*command, "--methods", "dense"]) == 3
    assert "codes none" in capsys.readouterr().err
    assert main([*command, "--context", "1"]) == 2
