"""The even grid: MLX's own quantized product over our words is the truth over the decoded vectors."""

import mlx.core as mx
import numpy as np
import pytest
from tests.oracles import densities
from tests.oracles.scalar import relative_error

from tq_core import Hadamard, InvalidCodecError, MseCodec, RandomOrthogonal, ScalarCode, UniformCodec
from tq_core.codebook import UNIFORM_STEP
from tq_core.uniform import ON_CPU, ON_GPU

WIDTHS = (2, 3, 4, 5, 6, 8)
GROUPED = {32: 32, 64: 64, 96: 32, 128: 128, 192: 64, 256: 128, 512: 128}
UNGROUPED = (48, 80, 112, 176)


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def history(codec: UniformCodec, dim: int, tokens: int = 37) -> tuple[ScalarCode, np.ndarray]:
    """A code of vectors with norms over two decades, and what it decodes to."""
    x = random(dim, 2, 3, tokens, dim) * 10 ** np.random.default_rng(1).uniform(-1, 1, (2, 3, tokens, 1))
    code = codec.encode(mx.array(x.astype(np.float32)))
    return code, np.array(codec.decode(code), dtype=np.float64)


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The keyword arguments of each call of mx.quantized_matmul, taken as often as on a GPU."""
    real, calls = mx.quantized_matmul, []

    def spy(*args: mx.array, **kwargs: object) -> mx.array:
        calls.append(kwargs)
        return real(*args, **kwargs)

    monkeypatch.setattr(mx, "quantized_matmul", spy)
    monkeypatch.setattr("tq_core.uniform.ON_CPU", ON_GPU)
    return calls


@pytest.mark.parametrize("dim", [*GROUPED, *UNGROUPED])
@pytest.mark.parametrize("bits", WIDTHS)
def test_scores_and_combine_are_the_decoded_truth(bits: int, dim: int, products: list[dict[str, object]]) -> None:
    codec = UniformCodec(bits=bits)
    code, decoded = history(codec, dim)
    q, p = random(3, 2, 3, 5, dim), np.abs(random(4, 2, 3, 5, 37))
    scores, combined = codec.scores(mx.array(q), code), codec.combine(mx.array(p), code)
    expected = q.astype(np.float64) @ decoded.swapaxes(-1, -2)
    np.testing.assert_allclose(np.array(scores), expected, atol=2e-6 * np.abs(expected).max() * dim**0.5)
    expected = p.astype(np.float64) @ decoded
    np.testing.assert_allclose(np.array(combined), expected, atol=1e-5 * np.abs(expected).max())
    if dim in GROUPED:
        assert [(c["transpose"], c["group_size"], c["bits"]) for c in products] == [
            (True, GROUPED[dim], bits),
            (False, GROUPED[dim], bits),
        ]
    else:
        assert products == []


@pytest.mark.parametrize("dim", GROUPED)
@pytest.mark.parametrize("bits", WIDTHS)
def test_words_and_gain_are_mlx_s_affine_layout(bits: int, dim: int) -> None:
    """mx.dequantize reads our words; scale = step · gain, bias = −scale · (2^b − 1)/2."""
    codec = UniformCodec(bits=bits)
    code, _ = history(codec, dim)
    scale = mx.repeat(code.gain.astype(mx.float32) * UNIFORM_STEP[bits], dim // GROUPED[dim], axis=-1)
    bias = scale * (-(2**bits - 1) / 2)
    theirs = np.array(mx.dequantize(code.words, scale, bias, group_size=GROUPED[dim], bits=bits))
    np.testing.assert_allclose(np.array(codec.dequantize(code)), theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("queries", [1, 2, 7, 16, 33, 100])
def test_any_number_of_queries(queries: int) -> None:
    """MLX takes other kernels for one row, a few and many."""
    codec = UniformCodec(Hadamard(2), bits=4)
    code, decoded = history(codec, 64, tokens=70)
    q, p = random(5, 2, 3, queries, 64), random(6, 2, 3, queries, 70)
    np.testing.assert_allclose(np.array(codec.scores(mx.array(q), code)), q @ decoded.swapaxes(-1, -2), atol=2e-3)
    np.testing.assert_allclose(np.array(codec.combine(mx.array(p), code)), p @ decoded, atol=2e-3)


@pytest.mark.parametrize(("rows", "calls"), [(1, 2), (16, 2), (100, 0)])
def test_quantized_products_are_for_few_rows(rows: int, calls: int, products: list[dict[str, object]]) -> None:
    """MLX's CUDA backend has none of many float32 rows."""
    codec = UniformCodec(bits=4)
    code, _ = history(codec, 64)
    mx.eval(codec.scores(mx.ones((2, 3, rows, 64)), code), codec.combine(mx.ones((2, 3, rows, 37)), code))
    assert len(products) == calls


@pytest.mark.parametrize("rows", range(1, 5))
def test_a_cpu_decodes_for_more_than_a_row_or_two(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two ways give the same; which one is taken is told beforehand."""
    codec = UniformCodec(bits=4)
    code, _ = history(codec, 64)
    q, p = mx.array(random(3, 2, 3, rows, 64)), mx.array(random(4, 2, 3, rows, 37))
    results: dict[bool, list[np.ndarray]] = {}
    for decodes, most in ((rows > 1, ON_CPU), (False, ON_GPU)):
        monkeypatch.setattr("tq_core.uniform.most_rows", lambda most=most: most)
        assert codec.decodes(rows, code) == decodes
        results[most == ON_CPU] = [np.array(codec.scores(q, code)), np.array(codec.combine(p, code))]
    for ours, mlx in zip(results[True], results[False], strict=True):
        np.testing.assert_allclose(ours, mlx, atol=1e-5 * np.abs(mlx).max())


@pytest.mark.parametrize("bits", [3, 4])
def test_compiles(bits: int) -> None:
    codec = UniformCodec(bits=bits)
    code, _ = history(codec, 64)
    q = mx.array(random(7, 2, 3, 1, 64))

    def attend(q: mx.array, words: mx.array, gain: mx.array) -> mx.array:
        code = ScalarCode(64, words, gain)
        return codec.combine(mx.softmax(codec.scores(q, code), axis=-1), code)

    eager, compiled = (f(q, code.words, code.gain) for f in (attend, mx.compile(attend)))
    np.testing.assert_allclose(np.array(compiled), np.array(eager), atol=1e-4)


@pytest.mark.parametrize(
    ("bits", "error", "share"),
    [(2, 0.11884605, 0.01), (3, 0.03743966, 0.01), (4, 0.01154288, 0.015), (6, 0.00104005, 0.04)],
)
def test_paper_form_meets_the_grid_s_theory(bits: int, error: float, share: float) -> None:
    """At D = 256, to the sampling noise of the few coordinates beyond a fine grid."""
    codec, x = UniformCodec(bits=bits, gain="norm", scale_search=False), random(8, 4000, 256)
    measured = relative_error(x, np.array(codec.decode(codec.encode(mx.array(x))))).mean()
    theory = densities.sphere_distortion(densities.uniform(bits, UNIFORM_STEP[bits]), 256)
    assert measured == pytest.approx(theory, rel=share)
    assert measured == pytest.approx(error, rel=0.02 + share)


@pytest.mark.parametrize(("bits", "cost"), [(3, 0.07), (4, 0.17)])
def test_what_the_grid_costs_against_lloyd_max(bits: int, cost: float) -> None:
    """In bits: half the binary logarithm of the ratio of errors, both with scale search."""
    x = random(9, 3000, 128)
    even, lloyd = (
        relative_error(x, np.array(codec.decode(codec.encode(mx.array(x))))).mean()
        for codec in (UniformCodec(bits=bits), MseCodec(bits=bits))
    )
    assert np.log2(even / lloyd) / 2 == pytest.approx(cost, abs=0.015)


@pytest.mark.parametrize(("dim", "gain_group", "group"), [(128, 64, 64), (128, 32, 32), (192, 96, 32), (64, 16, None)])
def test_a_gain_per_group(dim: int, gain_group: int, group: int | None, products: list[dict[str, object]]) -> None:
    """MLX's groups lie within ours; below its smallest, the decode way."""
    codec = UniformCodec(bits=4, gain_group=gain_group)
    code, decoded = history(codec, dim)
    q, p = random(3, 2, 3, 5, dim), np.abs(random(4, 2, 3, 5, 37))
    scores, combined = codec.scores(mx.array(q), code), codec.combine(mx.array(p), code)
    np.testing.assert_allclose(np.array(scores), q @ decoded.swapaxes(-1, -2), atol=5e-3)
    np.testing.assert_allclose(np.array(combined), p @ decoded, atol=2e-3)
    assert [call["group_size"] for call in products] == ([group, group] if group else [])


@pytest.mark.parametrize("bits", [1, 7])
def test_widths_without_a_kernel(bits: int) -> None:
    with pytest.raises(InvalidCodecError, match=f"bits is {bits}: "):
        UniformCodec(bits=bits)


def test_price_is_the_same_as_lloyd_max_s() -> None:
    """The bias is derived, not stored: 4.25 bits at D = 64, less than MLX's own 4.5."""
    for dim in (64, 80, 128):
        for bits in WIDTHS:
            assert UniformCodec(bits=bits).bits_per_value(dim) == MseCodec(bits=bits).bits_per_value(dim)


def test_other_rotation() -> None:
    codec = UniformCodec(RandomOrthogonal(5), bits=5)
    code, decoded = history(codec, 80)
    q = random(10, 2, 3, 4, 80)
    np.testing.assert_allclose(np.array(codec.scores(mx.array(q), code)), q @ decoded.swapaxes(-1, -2), atol=2e-3)
