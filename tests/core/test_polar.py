"""PolarQuant against its definition (with arctangents, in float64) and against the theory of its error."""

import importlib.util
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import mlx.core as mx
import numpy as np
import pytest
from tests.oracles import polar as oracle
from tests.oracles.byte_stream import bytes_of, runs_of
from tests.oracles.rotations import matrix
from tests.oracles.scalar import relative_error

from tq_core import (
    Hadamard,
    Identity,
    InvalidCodecError,
    NonFiniteError,
    PolarCode,
    PolarCodec,
    RandomOrthogonal,
    UnsupportedHeadDimError,
    codec_from_dict,
    codec_to_dict,
)
from tq_core.bit_stream import bytes_per_vector, pack_stream, unpack_stream
from tq_core.polar import FULL_DEPTH, PUBLISHED
from tq_core.polar_codebook import CIRCLE_WIDTHS, OFFSETS, angles

HEAD_DIMS = (64, 80, 96, 112, 128, 192, 256, 512)
FORMS = (PUBLISHED, FULL_DEPTH[3], FULL_DEPTH[4])
BF16 = 2**-8
DIGITS = 5.1e-8  # constants are written to seven places
BOOKS = [(level, bits) for level, by_width in OFFSETS.items() for bits in by_width]

every_form = pytest.mark.parametrize("level_bits", FORMS, ids=str)
every_gain = pytest.mark.parametrize("gain", ["norm", "least_squares"])


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def array(a: mx.array) -> np.ndarray:
    return np.array(a.astype(mx.float32), dtype=np.float64)


def books_of(codec: PolarCodec, dim: int) -> list[np.ndarray]:
    return [np.array(angles(level, bits)) for level, bits in enumerate(codec.widths(dim), start=1)]


def stored_codes(codec: PolarCodec, code: PolarCode) -> list[np.ndarray]:
    """The codes of each level [T, Nᵢ], read by Python."""
    widths = codec.widths(code.head_dim)
    lengths = [code.head_dim // 2**level for level in range(1, len(widths) + 1)]
    rows = [runs_of(stream, lengths, widths) for stream in np.array(code.angles).tolist()]
    return [np.array(level) for level in zip(*rows, strict=True)]


def rotated(codec: PolarCodec, x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64) @ matrix(codec.rotation, x.shape[-1]).T


def in_blocks(y: np.ndarray, levels: int) -> np.ndarray:
    return y.reshape(len(y), -1, 2**levels)


# The oracle: a transform and its inverse, without quantization.


@pytest.mark.parametrize("levels", [1, 2, 4, 7])
def test_transform_and_its_inverse(levels: int) -> None:
    y = gaussian(0, 50, 128).astype(np.float64)
    found, radius = oracle.angles_of(y, levels)
    assert [a.shape for a in found] == [(50, 64 >> level) for level in range(levels)]
    np.testing.assert_allclose(np.square(radius).sum(axis=-1), np.square(y).sum(axis=-1))
    np.testing.assert_allclose(oracle.points_of(found, radius), y, atol=1e-13)


@pytest.mark.parametrize("dim", [64, 96])
def test_codec_inverts_the_transform_where_nothing_is_lost(dim: int) -> None:
    """Vectors whose angles are in the codebooks come back as they were, and so do their codes."""
    codec = PolarCodec(Identity(), level_bits=FULL_DEPTH[4])
    rng, books = np.random.default_rng(1), books_of(codec, dim)
    codes = [rng.integers(0, len(book), (40, dim >> level)) for level, book in enumerate(books, start=1)]
    radius = np.exp2(rng.integers(-10, 10, (40, dim >> len(books))))
    y = oracle.points_of([book[c] for book, c in zip(books, codes, strict=True)], radius)
    for gain in ("norm", "least_squares"):
        code = replace(codec, gain=gain).encode(mx.array(y.astype(np.float32)))
        for expected, found in zip(codes, stored_codes(codec, code), strict=True):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(array(code.radius), radius)
        np.testing.assert_allclose(array(codec.decode(code)), y, rtol=1e-5)


# The codebooks.


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "polar_tables.py"
    spec = importlib.util.spec_from_file_location("polar_tables", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("level", OFFSETS)
def test_script_recomputes_the_codebooks(script: ModuleType, level: int) -> None:
    assert level in script.LEVELS
    assert list(OFFSETS[level]) == list(script.WIDTHS)
    offset = script.Offset(level)
    for bits, constants in OFFSETS[level].items():
        np.testing.assert_allclose(constants, script.positive_offsets(offset, bits), rtol=0, atol=2 * DIGITS)


@pytest.mark.parametrize(("level", "bits"), BOOKS)
def test_codebooks_are_lloyd_max(level: int, bits: int) -> None:
    """Each angle is the mean of its cell: as the density is log-concave, only the best codebook does that."""
    book = np.array(angles(level, bits))
    assert len(book) == 2**bits
    assert (np.diff(book) > 0).all()
    np.testing.assert_allclose(book + book[::-1], np.pi / 2, rtol=1e-12)
    np.testing.assert_allclose(book, oracle.cell_means(level, book), rtol=0, atol=3 * DIGITS)


@pytest.mark.parametrize("bits", CIRCLE_WIDTHS)
def test_circle_is_divided_evenly(bits: int) -> None:
    book = np.array(angles(1, bits))
    np.testing.assert_allclose(np.diff(book), 2 * np.pi / 2**bits)
    assert book[0] == pytest.approx(np.pi / 2**bits)


# The densities.


@lru_cache
def rotated_angles(kind: str) -> list[np.ndarray]:
    """The angles of 4000 rotated vectors, each level's in one array: Gaussian ones, or a few that are anything but."""
    dim = 128
    if kind == "gaussian":
        y = gaussian(2, 4000, dim).astype(np.float64)
    else:
        rng = np.random.default_rng(3)
        heavy = rng.standard_normal((500, dim)) * np.where(np.arange(dim) % 8 == 0, 30.0, 1.0)
        y = np.concatenate([rotated(PolarCodec(RandomOrthogonal(seed)), heavy) for seed in range(8)])
    return [a.ravel() for a in oracle.angles_of(y, 7)[0]]


@pytest.mark.parametrize("kind", ["gaussian", "heavy"])
@pytest.mark.parametrize("level", range(1, 8))
def test_angles_have_the_density_of_their_level(level: int, kind: str) -> None:
    """Kolmogorov and Smirnov: the largest gap between the two distributions, which chance keeps below 1.95/√n.

    The angles of heavy vectors under 8 rotations are not independent: they get three times that.
    """
    found = np.sort(rotated_angles(kind)[level - 1])
    n = len(found)
    expected = oracle.distribution(level, found)
    gap = max(np.abs(expected - np.arange(n) / n).max(), np.abs(expected - np.arange(1, n + 1) / n).max())
    assert gap < (1.95 if kind == "gaussian" else 6) / n**0.5
    if level > 1:  # and no other level's would do
        for other in {2, level - 1, level + 1} - {1, level}:
            wrong = oracle.distribution(other, found)
            assert np.abs(wrong - np.arange(n) / n).max() > 3 * gap


@every_form
def test_codes_are_as_frequent_as_the_densities_say(level_bits: tuple[int, ...]) -> None:
    codec = PolarCodec(level_bits=level_bits, gain="norm")
    code = codec.encode(mx.array(gaussian(4, 4000, 128)))
    found = unpack_stream(code.angles, [64 >> i for i in range(len(codec.widths(128)))], codec.widths(128))
    for level, (codes, book) in enumerate(zip(found, books_of(codec, 128), strict=True), start=1):
        counts = np.bincount(np.array(codes).ravel(), minlength=len(book))
        p = oracle.probabilities(level, book)
        z = (counts - codes.size * p) / np.sqrt(codes.size * p * (1 - p))
        assert np.abs(z).max() < 4.5, level


# The definition.


@every_gain
@pytest.mark.parametrize("dim", [64, 80, 128])
@pytest.mark.parametrize("level_bits", [*FORMS, (2,), (3, 1, 1), (8, 5, 5, 5, 5)], ids=str)
def test_code_by_definition(level_bits: tuple[int, ...], dim: int, gain: str) -> None:
    """The nearest angle at each level, and a radius per block; decoding is the transform back."""
    codec = PolarCodec(Hadamard(4), level_bits=level_bits, gain=gain)
    x = gaussian(5, 60, dim) * 10.0 ** np.linspace(-3, 3, 60, dtype=np.float32)[:, None]
    code, books = codec.encode(mx.array(x)), books_of(codec, dim)
    codes, radius = oracle.quantize(rotated(codec, x), books, fitted=gain == "least_squares")
    found = stored_codes(codec, code)
    clear = np.ones(60, dtype=bool)
    for expected, level in zip(codes, found, strict=True):
        assert expected.shape == level.shape
        wrong = expected != level
        assert wrong.mean() < 2e-3  # next to a threshold
        clear &= ~wrong.any(axis=-1)
    assert clear.mean() > 0.8
    np.testing.assert_allclose(array(code.radius)[clear], radius[clear], rtol=BF16)
    decoded = oracle.points_of([b[c] for b, c in zip(books, found, strict=True)], array(code.radius))
    size = np.linalg.norm(x, axis=-1, keepdims=True)
    back = array(codec.decode(code))
    np.testing.assert_allclose(back / size, decoded @ matrix(codec.rotation, dim) / size, atol=2e-6)


@pytest.mark.parametrize("levels", [1, 3, 6])
def test_norm_stores_norms_and_least_squares_the_best_radius(levels: int) -> None:
    x = gaussian(6, 40, 64)
    for gain in ("norm", "least_squares"):
        codec = PolarCodec(level_bits=FULL_DEPTH[3][:levels], gain=gain)
        code = codec.encode(mx.array(x))
        y, back = (in_blocks(rotated(codec, a), levels) for a in (x, array(codec.decode(code))))
        direction = back / np.linalg.norm(back, axis=-1, keepdims=True)
        expected = np.linalg.norm(y, axis=-1) if gain == "norm" else (y * direction).sum(axis=-1)
        np.testing.assert_allclose(array(code.radius), expected, rtol=BF16)


def test_every_quadrant_and_axis() -> None:
    """On the circle each of 16 codes is met, and an axis belongs to a code next to it."""
    codec = PolarCodec(Identity(), level_bits=(4,))
    psi = (np.arange(64) + 0.5) * 2 * np.pi / 64
    x = np.stack([np.cos(psi), np.sin(psi)], axis=-1).astype(np.float32)
    codes = stored_codes(codec, codec.encode(mx.array(x)))[0]
    np.testing.assert_array_equal(codes[:, 0], np.arange(64) // 4)
    axes = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    back = array(codec.decode(codec.encode(mx.array(axes))))
    assert ((back * axes).sum(axis=-1) > np.cos(np.pi / 16) ** 2 - 0.01).all()


# The error.


@lru_cache
def errors(level_bits: tuple[int, ...], dim: int, gain: str) -> np.ndarray:
    codec, x = PolarCodec(level_bits=level_bits, gain=gain), gaussian(dim, 960_000 // dim, dim)
    return relative_error(x, np.array(codec.decode(codec.encode(mx.array(x)))))


@every_gain
@pytest.mark.parametrize(
    ("level_bits", "d_mse"), [(PUBLISHED, 0.032), (FULL_DEPTH[3], 0.0352), (FULL_DEPTH[4], 0.0098)], ids=str
)
def test_error_at_128(level_bits: tuple[int, ...], d_mse: float, gain: str) -> None:
    """The published form and full depth, within 2 % of the known figures."""
    assert errors(level_bits, 128, gain).mean() == pytest.approx(d_mse, rel=0.02)


@every_form
@pytest.mark.parametrize("dim", HEAD_DIMS)
def test_error_is_within_a_percent_of_theory(level_bits: tuple[int, ...], dim: int) -> None:
    theory = oracle.norm_distortion(books_of(PolarCodec(level_bits=level_bits), dim))
    assert errors(level_bits, dim, "norm").mean() == pytest.approx(theory, rel=0.01)


@every_form
@pytest.mark.parametrize("dim", [64, 128, 512])
def test_least_squares_errs_less_at_every_vector(level_bits: tuple[int, ...], dim: int) -> None:
    norm, fitted = errors(level_bits, dim, "norm"), errors(level_bits, dim, "least_squares")
    assert (fitted <= norm + BF16**2).mean() > 0.999
    assert fitted.mean() < 0.998 * norm.mean()


def test_more_bits_err_less() -> None:
    for level in range(4):
        wider = tuple(b + (i == level) for i, b in enumerate(PUBLISHED))
        assert errors(wider, 128, "norm").mean() < 0.95 * errors(PUBLISHED, 128, "norm").mean()


def test_error_does_not_depend_on_the_direction_once_rotated() -> None:
    rng, dim = np.random.default_rng(7), 128
    heavy = (rng.standard_normal((300, dim)) * np.where(np.arange(dim) % 8 == 0, 30.0, 1.0)).astype(np.float32)

    def error(codec: PolarCodec) -> float:
        return float(relative_error(heavy, np.array(codec.decode(codec.encode(mx.array(heavy))))).mean())

    mean = np.mean([error(PolarCodec(RandomOrthogonal(s), level_bits=FULL_DEPTH[3])) for s in range(8)])
    assert mean == pytest.approx(0.0348, rel=0.05)
    assert PolarCodec().rotation == RandomOrthogonal(0)
    assert error(PolarCodec(Hadamard(), level_bits=FULL_DEPTH[3])) > 3 * mean  # equal neighbours: why it is no default


# The format and its price.


@pytest.mark.parametrize("dim", HEAD_DIMS)
@pytest.mark.parametrize("level_bits", [*FORMS, (3,), (2, 1, 5)], ids=str)
def test_format_and_price(level_bits: tuple[int, ...], dim: int) -> None:
    """The bits of every level's angles, up to a whole byte per vector, and 16 bits per block."""
    codec, depth = PolarCodec(level_bits=level_bits), 0
    bits = 0
    while depth < len(level_bits) and dim % 2 ** (depth + 1) == 0:
        depth += 1
        bits += dim // 2**depth * level_bits[depth - 1]
    code = codec.encode(mx.ones((2, 3, 5, dim)))
    assert (code.angles.dtype, code.angles.shape) == (mx.uint8, (2, 3, 5, -(-bits // 8)))
    assert (code.radius.dtype, code.radius.shape) == (mx.bfloat16, (2, 3, 5, dim // 2**depth))
    assert codec.bits_per_value(dim) == (8 * -(-bits // 8) + 16 * dim // 2**depth) / dim
    assert codec.bits_per_value(dim) == code.nbytes * 8 / (2 * 3 * 5) / dim


def test_known_prices() -> None:
    published, three, four = (PolarCodec(level_bits=form) for form in FORMS)
    for dim in (64, 128, 256, 512):
        assert published.bits_per_value(dim) == 3.875
        assert 16 / published.bits_per_value(dim) < 4.13  # where the paper says "over 4.2 times smaller"
    for dim in HEAD_DIMS:
        assert published.bits_per_value(dim) <= 3.93
    assert three.bits_per_value(128) == pytest.approx(3.11, abs=0.016)  # the last byte is filled up
    assert four.bits_per_value(128) == pytest.approx(4.30, abs=0.016)
    assert [three.bits_per_value(d) for d in (64, 256, 512)] == [3.25, 3.0625, 3.03125]


@pytest.mark.parametrize(("dim", "levels"), [(2, 1), (64, 6), (80, 4), (96, 5), (112, 4), (128, 7), (192, 6), (512, 9)])
def test_full_depth_is_the_largest_block_that_divides(dim: int, levels: int) -> None:
    for form in (FULL_DEPTH[3], FULL_DEPTH[4]):
        codec = PolarCodec(RandomOrthogonal(0), level_bits=form)
        assert codec.widths(dim) == form[:levels]
        assert codec.encode(mx.ones((1, dim))).radius.shape == (1, dim >> levels)
    assert PolarCodec(level_bits=PUBLISHED).widths(dim) == PUBLISHED[:levels]


@pytest.mark.parametrize(
    ("lengths", "widths"),
    [((64, 32, 16, 8, 4, 2, 1), (5, 4, 3, 3, 2, 2, 2)), ((1,), (1,)), ((3, 5), (8, 1)), ((7, 9, 2), (3, 3, 7))],
    ids=str,
)
def test_stream_holds_just_these_bits(lengths: tuple[int, ...], widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(8)
    runs = [rng.integers(0, 2**b, (2, 9, n)).astype(np.uint8) for n, b in zip(lengths, widths, strict=True)]
    stream = pack_stream([mx.array(run) for run in runs], widths)
    assert (stream.dtype, stream.shape) == (mx.uint8, (2, 9, bytes_per_vector(lengths, widths)))
    for i in range(2):
        for t in range(9):
            assert np.array(stream)[i, t].tolist() == bytes_of([run[i, t] for run in runs], widths)
    for run, back in zip(runs, unpack_stream(stream, lengths, widths), strict=True):
        np.testing.assert_array_equal(np.array(back), run)


# Ends of the range; most of them are rows of codec_matrix.py.


def test_none_one_zero_and_huge() -> None:
    for codec in (
        PolarCodec(RandomOrthogonal(0), level_bits=form, gain=g) for form in FORMS for g in ("norm", "least_squares")
    ):
        empty = codec.encode(mx.zeros((2, 0, 64)))
        assert codec.decode(empty).shape == (2, 0, 64)
        assert codec.scores(mx.ones((2, 5, 64)), empty).shape == (2, 5, 0)
        assert not array(codec.decode(codec.encode(mx.zeros((3, 1, 64))))).any()
        x = gaussian(9, 20, 64)
        plain, huge = (array(codec.decode(codec.encode(mx.array(x * np.float32(f))))) / f for f in (1, 2.0**100))
        np.testing.assert_allclose(huge, plain, atol=1e-4)
        with pytest.raises(NonFiniteError, match="1 of 64 elements"):
            codec.encode(mx.array([[float("inf")] + [1.0] * 63]))


def test_blocks_of_zeros_among_others() -> None:
    codec, x = PolarCodec(Identity(), level_bits=PUBLISHED), gaussian(10, 20, 64)
    x[:, 16:32] = 0
    x[:, 35] = 0
    back = array(codec.decode(codec.encode(mx.array(x))))
    assert not back[:, 16:32].any()
    assert relative_error(x[:, 32:48], back[:, 32:48]).mean() < 0.05


def test_odd_head_dim() -> None:
    with pytest.raises(UnsupportedHeadDimError, match="head_dim 65 is odd"):
        PolarCodec(RandomOrthogonal(0)).encode(mx.ones((2, 65)))


def test_json_round_trip() -> None:
    codec = PolarCodec(RandomOrthogonal(2), level_bits=(4, 3, 2), gain="norm")
    written = codec_to_dict(codec)
    assert written == {
        "codec": "polar",
        "rotation": {"kind": "random_orthogonal", "seed": 2},
        "level_bits": [4, 3, 2],
        "gain": "norm",
    }
    back = codec_from_dict(written)
    assert back == codec
    assert hash(back) == hash(codec)
    assert written["level_bits"] == [4, 3, 2]
    assert codec_from_dict({"codec": "polar"}) == PolarCodec()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"level_bits": []}, "0 levels"),
        ({"level_bits": [4] + [2] * 10}, "11 levels"),
        ({"level_bits": [1, 2]}, r"width 1 of level_bits \(1, 2\) is 1: use 2 to 8"),
        ({"level_bits": [9]}, "is 9"),
        ({"level_bits": [4, 6]}, r"width 2 of level_bits \(4, 6\) is 6: use 1 to 5"),
        ({"level_bits": [4, 0]}, "is 0"),
        ({"level_bits": [4, 2.0]}, r"is 2\.0"),
        ({"level_bits": [4, "2"]}, "is '2'"),
        ({"level_bits": 4}, "level_bits is 4"),
        ({"level_bits": None}, "level_bits is None"),
        ({"gain": "max"}, "'max'"),
    ],
    ids=str,
)
def test_bad_parameters(parameters: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidCodecError, match=named):
        codec_from_dict({"codec": "polar"} | parameters)
