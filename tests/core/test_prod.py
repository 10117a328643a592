"""TurboQuant_prod against its definition and against the theory of its bias and variance."""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache

import mlx.core as mx
import numpy as np
import pytest
from tests.oracles import densities
from tests.oracles import sketch as oracle
from tests.oracles.bit_stream import codes_of
from tests.oracles.rotations import matrix
from tests.oracles.scalar import relative_error

from tq_core import (
    Identity,
    InvalidCodecError,
    MseCodec,
    NonFiniteError,
    ProdCode,
    ProdCodec,
    RandomOrthogonal,
    codec_from_dict,
    codec_to_dict,
)
from tq_core.sketch import sketch

VARIANCE_TIMES_D = {1: 1.570796, 2: 0.570796, 3: 0.184541, 4: 0.054267}  # (π/2)·D_mse of b − 1 bits, as D grows
BF16 = 2**-8
SEEDS = range(10)


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def unit(seed: int, *shape: int) -> np.ndarray:
    x = gaussian(seed, *shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def array(a: mx.array) -> np.ndarray:
    return np.array(a.astype(mx.float32), dtype=np.float64)


def stored_signs(codec: ProdCodec, code: ProdCode) -> np.ndarray:
    """The stored bits [T, m] as ±1, read by Python."""
    rows = codec.rows(code.head_dim)
    return np.array([codes_of(words, 1, rows) for words in np.array(code.signs).tolist()]) * 2 - 1


def sketch_of(codec: ProdCodec, dim: int) -> np.ndarray:
    return array(sketch(codec.sketch_seed, codec.rows(dim), dim))


# The sketch.


def test_sketch_is_the_same_everywhere() -> None:
    """Codes on disk need it back."""
    start = [-0.045801010, 2.716722965, -1.209687114, -1.932959080]
    end = [-1.373442173, -0.076419942, -0.239078552, -0.772011459]
    np.testing.assert_allclose(np.array(sketch(0, 64, 64))[0, :4], start, rtol=1e-6)
    np.testing.assert_allclose(np.array(sketch(3, 128, 128))[127, 124:], end, rtol=1e-6)


def test_sketch_is_gaussian() -> None:
    s = array(sketch(1, 256, 128))
    n = s.size
    assert s.mean() == pytest.approx(0, abs=4 / n**0.5)
    assert s.var() == pytest.approx(1, abs=4 * (2 / n) ** 0.5)
    assert (s**4).mean() == pytest.approx(3, abs=4 * (96 / n) ** 0.5)
    correlation = np.abs(np.corrcoef(s) - np.eye(256)).max()
    assert correlation < 5.5 / 128**0.5  # the largest of 32,640


def test_seeds_name_sketches_and_fewer_rows_are_the_first() -> None:
    a = np.array(sketch(2, 100, 64))
    np.testing.assert_array_equal(np.array(sketch(2, 40, 64)), a[:40])
    assert not np.array_equal(np.array(sketch(3, 100, 64)), a)
    assert ProdCodec(sketch_seed=2) != ProdCodec(sketch_seed=3)


def test_sketch_is_not_the_rotation() -> None:
    s = array(sketch(0, 64, 64))
    q = matrix(RandomOrthogonal(0), 64)
    assert abs((s * q).sum()) < 4 * np.linalg.norm(q)


# The definition.


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize(("dim", "rows"), [(64, None), (80, None), (128, 200), (64, 40)])
def test_code_by_definition(bits: int, dim: int, rows: int | None) -> None:
    """Below, the mse codec in the paper's form; above it, signs and norm of what that misses."""
    codec = ProdCodec(bits=bits, sketch_rows=rows, sketch_seed=5)
    x = gaussian(1, 50, dim) * 10.0 ** np.linspace(-3, 3, 50, dtype=np.float32)[:, None]
    code = codec.encode(mx.array(x))
    residual = x.astype(np.float64)
    if bits > 1:
        stage = MseCodec(bits=bits - 1, gain="norm", scale_search=False)
        below = stage.encode(mx.array(x))
        assert mx.array_equal(below.words, code.words)
        assert mx.array_equal(below.gain, code.gain)
        words = np.array(code.words).tolist()
        centroids = densities.lloyd_max(bits - 1)[[codes_of(w, bits - 1, dim) for w in words]]
        residual = residual - centroids * array(code.gain) @ matrix(codec.rotation, dim)
    norm = np.linalg.norm(residual, axis=-1)
    fine = {8: 0.02}.get(bits, 1e-5)  # what float32 leaves of a residual a thousandth of x
    np.testing.assert_allclose(array(code.norm)[:, 0], norm, rtol=BF16 + fine)
    sketched = residual @ matrix(codec.rotation, dim).T @ sketch_of(codec, dim).T / norm[:, None]
    clear = np.abs(sketched) > fine * 10
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(stored_signs(codec, code)[clear], np.sign(sketched)[clear])


@pytest.mark.parametrize("bits", [1, 3])
@pytest.mark.parametrize(("dim", "rows"), [(64, None), (80, None), (128, 200), (64, 40)])
def test_scores_and_decode_by_definition(bits: int, dim: int, rows: int | None) -> None:
    """The estimate from the stored signs; decoding gives the vector with just these inner products."""
    codec = ProdCodec(bits=bits, sketch_rows=rows, sketch_seed=5)
    x, q = gaussian(2, 30, dim), gaussian(3, 7, dim)
    code = codec.encode(mx.array(x))
    signs, norm, s = stored_signs(codec, code), array(code.norm)[:, 0], sketch_of(codec, dim)
    rotated = q @ matrix(codec.rotation, dim).T
    expected = oracle.estimate(rotated, signs, norm, s)
    vectors = oracle.restored(signs, norm, s) @ matrix(codec.rotation, dim)
    if bits > 1:
        stage = MseCodec(bits=bits - 1, gain="norm", scale_search=False)
        below = array(stage.decode(stage.encode(mx.array(x))))
        expected, vectors = expected + q @ below.T, vectors + below
    np.testing.assert_allclose(array(codec.scores(mx.array(q), code)), expected, atol=2e-4)
    np.testing.assert_allclose(array(codec.decode(code)), vectors, atol=2e-5)
    np.testing.assert_allclose(q @ vectors.T, expected, atol=1e-4)
    p = gaussian(4, 5, 30)
    np.testing.assert_allclose(array(codec.combine(mx.array(p), code)), p @ vectors, atol=2e-4)


def test_stored_gain_is_what_the_residual_is_taken_against() -> None:
    """Else the bfloat16 rounding of the gain, up to 0.4 %, would be a bias that no sketch undoes."""
    codec = ProdCodec(Identity(), bits=8, sketch_rows=4096)
    x = np.full((1, 64), 1.0, dtype=np.float32)
    x[0, ::2] = -1
    x *= 1 + 2**-8 - 2**-12  # ‖x‖/√D falls just below halfway between two bfloat16
    code = codec.encode(mx.array(x))
    centroid = densities.lloyd_max(7)
    nearest = centroid[np.abs(centroid - 1).argmin()]
    residual = 8 * abs(x[0, 1] - nearest * float(array(code.gain)[0, 0]))
    assert float(array(code.norm)[0, 0]) == pytest.approx(residual, rel=2 * BF16)
    assert abs(residual - 8 * x[0, 1] * abs(1 - nearest)) > 0.01  # against the exact gain it would be another


# Bias and variance.


@dataclass
class Measured:
    """Truths q·x and errors of the estimates [seeds, M, T], and D_mse of the mse stage [seeds], for unit vectors."""

    truth: np.ndarray
    error: np.ndarray
    distortion: np.ndarray


@lru_cache
def measured(dim: int) -> dict[int, Measured]:
    """By bits: they share each seed's vectors, truths and sketch, which take longer to draw than to use."""
    truths, errors, distortions = [], defaultdict(list), defaultdict(list)
    for seed in SEEDS:
        x, q = unit(100 + seed, 1000, dim), unit(200 + seed, 300, dim)
        q[:100] = x[:100] * 0.6 + q[:100] * 0.8  # some queries close to a key: truths far from 0
        truths.append(q.astype(np.float64) @ x.T.astype(np.float64))
        for bits in VARIANCE_TIMES_D:
            codec = ProdCodec(bits=bits, sketch_seed=seed)
            code = codec.encode(mx.array(x))
            errors[bits].append(array(codec.scores(mx.array(q), code)) - truths[-1])
            distortions[bits].append(np.square(array(code.norm)).mean())
    truth = np.array(truths)
    return {bits: Measured(truth, np.array(errors[bits]), np.array(distortions[bits])) for bits in VARIANCE_TIMES_D}


@pytest.mark.parametrize("bits", VARIANCE_TIMES_D)
@pytest.mark.parametrize("dim", [64, 128, 256])
def test_unbiased(bits: int, dim: int) -> None:
    """The regression of estimates on truths has slope 1 and no offset, over all pairs and over the close ones."""
    found = measured(dim)[bits]
    truth, error = found.truth, found.error
    slope = 1 + (truth * error).sum() / np.square(truth).sum()
    assert slope == pytest.approx(1, abs=0.02)
    assert abs(error.mean()) < 0.002 / dim**0.5
    close = truth > 0.4
    assert close.sum() >= 90 * len(SEEDS)
    assert error[close].mean() / truth[close].mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("bits", VARIANCE_TIMES_D)
@pytest.mark.parametrize("dim", [64, 128, 256])
def test_variance_is_within_five_percent_of_theory(bits: int, dim: int) -> None:
    """The theory at this D, and its limit as D grows."""
    found = measured(dim)[bits]
    error, distortion = found.error, found.distortion
    d_mse = 1.0 if bits == 1 else densities.sphere_distortion(densities.lloyd_max(bits - 1), dim)
    assert distortion.mean() == pytest.approx(d_mse, rel=0.01)
    theory = (np.pi / 2 - 1 / dim) * d_mse
    assert theory == pytest.approx(VARIANCE_TIMES_D[bits], rel=0.05)
    assert 4.0**-bits < VARIANCE_TIMES_D[bits] < np.sqrt(3) * np.pi**2 * 4.0**-bits  # the paper's bounds
    assert np.square(error[:, 100:]).mean() * dim == pytest.approx(theory, rel=0.05)
    if dim > 64:
        assert np.square(error[:, 100:]).mean() * dim == pytest.approx(VARIANCE_TIMES_D[bits], rel=0.05)


def test_mean_and_variance_of_each_pair_over_sketches() -> None:
    """Not only on average over pairs: for a given q and r, whatever the angle between them."""
    dim, seeds = 64, 300
    r, q = gaussian(1, 12, dim), gaussian(2, 12, dim)
    q[:6] += r[:6]
    q[0] = r[0]
    scores = []
    for seed in range(seeds):
        codec = ProdCodec(Identity(), bits=1, sketch_seed=seed)
        scores.append(array(codec.scores(mx.array(q), codec.encode(mx.array(r)))))
    truth, theory = q.astype(np.float64) @ r.T, oracle.variance(q.astype(np.float64), r.astype(np.float64), dim)
    z = (np.mean(scores, axis=0) - truth) / np.sqrt(theory / seeds)
    assert np.abs(z).max() < 4.5
    assert np.square(z).mean() == pytest.approx(1, abs=0.5)
    ratio = np.var(scores, axis=0) / theory
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert ratio[0, 0] == pytest.approx(1, abs=0.35)  # q = r, where the variance is 0.36 of the others'


@pytest.mark.parametrize("rows", [32, 100, 256])
def test_variance_falls_with_the_rows(rows: int) -> None:
    dim, errors = 64, []
    for seed in SEEDS:
        x, q = unit(300 + seed, 400, dim), unit(400 + seed, 200, dim)
        codec = ProdCodec(bits=2, sketch_rows=rows, sketch_seed=seed)
        errors.append(array(codec.scores(mx.array(q), codec.encode(mx.array(x)))) - q @ x.T)
    d_mse = densities.sphere_distortion(densities.lloyd_max(1), dim)
    theory = (np.pi / 2 - 1 / dim) * d_mse / rows
    assert np.square(errors).mean() == pytest.approx(theory, rel=0.08)
    assert abs(np.mean(errors)) < 1e-3


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("factor", [2.0**-20, 8.0, 3.0])
def test_linear_in_query_and_key(bits: int, factor: float) -> None:
    """So is the error: it grows with ‖q‖ and with ‖r‖, and thus with ‖x‖."""
    codec, x, q = ProdCodec(bits=bits), gaussian(5, 40, 128), gaussian(6, 9, 128)
    scores = array(codec.scores(mx.array(q), codec.encode(mx.array(x))))
    by_query = array(codec.scores(mx.array(q * np.float32(factor)), codec.encode(mx.array(x))))
    by_key = array(codec.scores(mx.array(q), codec.encode(mx.array(x * np.float32(factor)))))
    size = np.abs(scores).max() * factor
    np.testing.assert_allclose(by_query, scores * factor, atol=1e-5 * size)
    if factor != 3.0:
        np.testing.assert_allclose(by_key, scores * factor, atol=1e-5 * size)
    else:  # three times a bfloat16 is rounded: gains move by up to 0.4 %, and so do the signs of a few small numbers
        assert np.square(by_key - scores * factor).mean() < 0.06**2 * np.square(scores * factor).mean()


def test_error_follows_the_residual_not_the_vector() -> None:
    """A vector that the mse stage meets exactly leaves nothing to sketch and no variance."""
    centroids = densities.lloyd_max(2).astype(np.float32)
    x = np.tile(centroids, 32)[None]
    codec = ProdCodec(Identity(), bits=3)
    rms = np.sqrt(np.square(x).mean())
    code = codec.encode(mx.array(np.concatenate([x / rms, gaussian(7, 1, 128)])))
    far, near = array(code.norm)[1, 0], array(code.norm)[0, 0]
    assert near < far
    q = gaussian(8, 200, 128)
    decoded = array(codec.decode(code))
    assert np.abs(q @ (decoded[0] - x[0] / rms)).std() < np.abs(q @ (decoded[1] - gaussian(7, 1, 128)[0])).std()


# The format and its price.


@pytest.mark.parametrize("dim", [64, 80, 96, 112, 128, 192, 256, 512])
@pytest.mark.parametrize("bits", range(1, 9))
def test_format_and_price(bits: int, dim: int) -> None:
    """b − 1 bits and one sign per coordinate, a gain and a norm; no mse stage at one bit."""
    codec = ProdCodec(bits=bits)
    code = codec.encode(mx.ones((2, 3, 5, dim)))
    width, staged = -(-dim * (bits - 1) // 32), int(bits > 1)
    assert (code.words.dtype, code.words.shape) == (mx.uint32, (2, 3, 5, width))
    assert (code.gain.dtype, code.gain.shape) == (mx.bfloat16, (2, 3, 5, staged))
    assert (code.signs.dtype, code.signs.shape) == (mx.uint32, (2, 3, 5, -(-dim // 32)))
    assert (code.norm.dtype, code.norm.shape) == (mx.bfloat16, (2, 3, 5, 1))
    assert codec.bits_per_value(dim) == code.nbytes * 8 / (2 * 3 * 5) / dim
    if dim % 32 == 0:
        assert codec.bits_per_value(dim) == (bits * dim + 16 * (1 + staged)) / dim


@pytest.mark.parametrize(("rows", "words"), [(1, 1), (32, 1), (33, 2), (200, 7)])
def test_price_of_the_sketch(rows: int, words: int) -> None:
    codec = ProdCodec(bits=3, sketch_rows=rows)
    code = codec.encode(mx.ones((4, 64)))
    assert code.signs.shape == (4, words)
    assert codec.bits_per_value(64) == (2 * 64 + 16 + 32 * words + 16) / 64 == code.nbytes * 8 / 4 / 64


# Ends of the range; most of them are rows of codec_matrix.py.


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16], ids=str)
def test_one_bit_takes_any_dtype_and_layout(dtype: mx.Dtype) -> None:
    codec, x = ProdCodec(bits=1), mx.array(gaussian(9, 2, 6, 3, 64)).astype(dtype)
    code, q = codec.encode(x), mx.array(gaussian(10, 2, 6, 4, 64)).astype(dtype)
    turned = codec.encode(mx.contiguous(x.swapaxes(1, 2)).swapaxes(1, 2))
    strided = codec.encode(mx.repeat(x, 2, axis=2)[:, :, ::2])
    for other in (turned, strided):
        assert relative_error(array(codec.decode(code)), array(codec.decode(other))).max() < 0.05
    scores = codec.scores(q, code)
    assert (scores.shape, scores.dtype) == ((2, 6, 4, 3), mx.float32)
    np.testing.assert_allclose(array(scores), array(q) @ array(codec.decode(code)).swapaxes(-1, -2), atol=1e-4)


@pytest.mark.parametrize("bits", [1, 3])
def test_none_one_zero_and_huge(bits: int) -> None:
    codec = ProdCodec(RandomOrthogonal(0), bits=bits)
    empty = codec.encode(mx.zeros((2, 0, 64)))
    assert codec.decode(empty).shape == (2, 0, 64)
    assert codec.scores(mx.ones((2, 5, 64)), empty).shape == (2, 5, 0)
    assert codec.combine(mx.ones((2, 5, 0)), empty).shape == (2, 5, 64)
    assert not array(codec.decode(codec.encode(mx.zeros((3, 1, 64))))).any()
    x = gaussian(11, 20, 64)
    plain, huge = (array(codec.decode(codec.encode(mx.array(x * np.float32(f))))) / f for f in (1, 2.0**100))
    np.testing.assert_allclose(huge, plain, atol=1e-4)
    with pytest.raises(NonFiniteError, match="1 of 64 elements"):
        codec.encode(mx.array([[float("nan")] + [1.0] * 63]))


def test_one_bit_code_is_joined_saved_and_sliced(tmp_path) -> None:
    """Its empty arrays too."""
    codec = ProdCodec(bits=1)
    code = codec.encode(mx.array(gaussian(12, 2, 10, 64)))
    parts = [code.map(lambda a, s=s: a[:, s]) for s in (slice(0, 4), slice(4, 10))]
    arrays = {n: mx.concatenate([p.arrays()[n] for p in parts], axis=1) for n in code.arrays()}
    mx.save_safetensors(str(tmp_path / "code.safetensors"), arrays)
    back = codec.code_from(64, mx.load(str(tmp_path / "code.safetensors")))
    for name, a in code.arrays().items():
        b = back.arrays()[name]
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    np.testing.assert_array_equal(array(codec.decode(back)), array(codec.decode(code)))


def test_json_round_trip() -> None:
    codec = ProdCodec(RandomOrthogonal(2), bits=3, sketch_rows=96, sketch_seed=4)
    written = codec_to_dict(codec)
    assert written == {
        "codec": "prod",
        "rotation": {"kind": "random_orthogonal", "seed": 2},
        "bits": 3,
        "sketch_rows": 96,
        "sketch_seed": 4,
    }
    assert codec_from_dict(written) == codec
    assert codec_from_dict({"codec": "prod"}) == ProdCodec()
    assert replace(codec, sketch_rows=None).rows(80) == 80


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"bits": 0}, "bits is 0"),
        ({"bits": 9}, "bits is 9"),
        ({"sketch_rows": 0}, "sketch_rows is 0"),
        ({"sketch_rows": 1.5}, "sketch_rows is 1.5"),
        ({"sketch_seed": -1}, "sketch_seed is -1"),
        ({"sketch_seed": None}, "sketch_seed is None"),
        ({"sketch_seed": True}, "sketch_seed is True"),
    ],
    ids=str,
)
def test_bad_parameters(parameters: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidCodecError, match=named):
        codec_from_dict({"codec": "prod"} | parameters)
