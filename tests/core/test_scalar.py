"""Normalising, the gains and the scale search by their definitions, in float64."""

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest
from tests.oracles import densities
from tests.oracles import scalar as oracle
from tests.oracles.bit_stream import codes_of
from tests.oracles.rotations import matrix

from tq_core import Identity, InvalidCodecError, MseCodec, RandomOrthogonal, UniformCodec, UnsupportedHeadDimError
from tq_core.codebook import UNIFORM_STEP
from tq_core.packing import pack
from tq_core.scalar import SEARCH_SCALES, Gain, ScalarCode, ScalarCodec, grouped, normalise

CODECS = [
    *(MseCodec(bits=bits) for bits in (1, 2, 3, 4, 6, 8)),
    *(UniformCodec(bits=bits) for bits in (2, 3, 4, 6, 8)),
    MseCodec(RandomOrthogonal(2), bits=3),
    MseCodec(bits=4, gain_group=16),
    UniformCodec(bits=4, gain_group=16),
    UniformCodec(Identity(), bits=2, gain_group=8),
]
BF16 = 2**-8  # the largest relative error of rounding a gain


def vectors(seed: int, *shape: int) -> np.ndarray:
    """Gaussian vectors with norms over six decades."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * 10 ** rng.uniform(-3, 3, (*shape[:-1], 1))).astype(np.float32)


def levels_of(codec: ScalarCodec) -> np.ndarray:
    if isinstance(codec, UniformCodec):
        return densities.uniform(codec.bits, UNIFORM_STEP[codec.bits])
    return densities.lloyd_max(codec.bits)


def stored(codec: ScalarCodec, code: ScalarCode) -> tuple[np.ndarray, np.ndarray]:
    """The codes [N, D], read from the words by Python, and the gains [N, 1]; N counts groups where each has a gain."""
    words = np.array(code.words).reshape(-1, code.words.shape[-1]).tolist()
    codes = np.array([codes_of(row, codec.bits, code.head_dim) for row in words])
    gain = np.array(code.gain.astype(mx.float32), dtype=np.float64).reshape(-1, 1)
    return codes.reshape(-1, codec.gain_group or code.head_dim), gain


def rotated(codec: ScalarCodec, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """u and ‖y‖/√D of each vector, or of each group of its coordinates, in float64."""
    dim = x.shape[-1]
    y = x.reshape(-1, dim).astype(np.float64) @ matrix(codec.rotation, dim).T
    return oracle.normalised(y.reshape(-1, codec.gain_group or dim))


# The pieces.


def test_normalise() -> None:
    y = vectors(0, 7, 3, 80)
    u, rms = (np.array(a) for a in normalise(mx.array(y)))
    expected_u, expected_rms = oracle.normalised(y.astype(np.float64))
    np.testing.assert_allclose(u, expected_u, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(rms, expected_rms, rtol=2e-6)
    assert rms.shape == (7, 3, 1)


@pytest.mark.parametrize("size", [1e-37, 1e-30, 1e30, 3e38])
def test_normalise_keeps_squares_in_range(size: float) -> None:
    y = np.random.default_rng(0).uniform(-1, 1, (5, 64)).astype(np.float32)
    u, rms = normalise(mx.array(y * np.float32(size)))
    expected_u, expected_rms = oracle.normalised(y.astype(np.float64))
    np.testing.assert_allclose(np.array(u), expected_u, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.array(rms, dtype=np.float64), expected_rms * size, rtol=1e-5)


def test_normalise_leaves_zero_alone() -> None:
    u, rms = normalise(mx.zeros((3, 64)))
    assert not np.array(u).any()
    assert not np.array(rms).any()


@pytest.mark.parametrize("gain", ["least_squares", "norm_preserving"])
@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_fused_search_is_the_plain_one(codec: ScalarCodec, gain: Gain) -> None:
    """Bit for bit the code of a search that rounds to one scale after another, with nothing compiled."""
    codec, x = replace(codec, gain=gain), mx.array(vectors(9, 2, 3, 40, 64))
    u, rms = normalise(grouped(codec.rotation.apply(x), codec.gains(64)))
    scale, best, fit = mx.ones(rms.shape), mx.full(rms.shape, -1.0), rms
    for candidate in (1.0, *SEARCH_SCALES):
        c = codec.round(u * candidate)
        dot, square = (u * c).sum(axis=-1, keepdims=True), (c * c).sum(axis=-1, keepdims=True)
        length = mx.sqrt((u * u).sum(axis=-1, keepdims=True) / square)
        better = dot * dot / square > best
        best = mx.where(better, dot * dot / square, best)
        scale = mx.where(better, candidate, scale)
        fit = mx.where(better, dot / square if gain == "least_squares" else length, fit)
    code = codec.encode(x)
    expected = pack(codec.nearest(u * scale).reshape(x.shape), codec.bits)
    np.testing.assert_array_equal(np.array(code.words), np.array(expected))
    np.testing.assert_array_equal(
        np.array(code.gain.astype(mx.float32)), np.array((rms * fit)[..., 0].astype(mx.bfloat16).astype(mx.float32))
    )


def test_search_scales() -> None:
    assert 6 <= len(SEARCH_SCALES) <= 12
    assert min(SEARCH_SCALES) == 0.8
    assert max(SEARCH_SCALES) == 1.25
    assert list(SEARCH_SCALES) == sorted(SEARCH_SCALES)
    gaps = np.diff(sorted({1.0, *SEARCH_SCALES}))
    assert gaps.max() < 0.08  # no hole


# The three forms.


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_paper_form(codec: ScalarCodec) -> None:
    """The nearest level of each coordinate of u, and the gain ‖x‖/√D."""
    codec, x = replace(codec, gain="norm", scale_search=False), vectors(3, 2, 3, 20, 64)
    (codes, gain), (u, rms), levels = stored(codec, codec.encode(mx.array(x))), rotated(codec, x), levels_of(codec)
    expected = oracle.nearest(u, levels)
    wrong = codes != expected
    assert wrong.mean() < 1e-3
    assert (oracle.distance_to_threshold(u, levels)[wrong] < 1e-5).all()
    np.testing.assert_allclose(gain, rms, rtol=BF16 + 1e-6)


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_least_squares_form(codec: ScalarCodec) -> None:
    """The same codes, and the gain that brings them closest."""
    codec, x = replace(codec, scale_search=False), vectors(4, 2, 3, 20, 64)
    code = codec.encode(mx.array(x))
    (codes, gain), (u, rms), levels = stored(codec, code), rotated(codec, x), levels_of(codec)
    norm = replace(codec, gain="norm", scale_search=False).encode(mx.array(x))
    np.testing.assert_array_equal(np.array(code.words), np.array(norm.words))
    np.testing.assert_allclose(gain, rms * oracle.least_squares(u, levels[codes]), rtol=BF16 + 1e-4)


@pytest.mark.parametrize("codec", CODECS, ids=str)
@pytest.mark.parametrize("search", [True, False])
def test_norm_preserving_form(codec: ScalarCodec, search: bool) -> None:
    """The same codes, and the gain that gives the decoded vector the length of the vector."""
    codec = replace(codec, gain="norm_preserving", scale_search=search)
    x = vectors(4, 2, 3, 20, 64)
    code = codec.encode(mx.array(x))
    fitted = replace(codec, gain="least_squares").encode(mx.array(x))
    np.testing.assert_array_equal(np.array(code.words), np.array(fitted.words))
    decoded = np.array(codec.decode(code)).astype(np.float64)
    lengths = np.linalg.norm(decoded, axis=-1) / np.linalg.norm(x.astype(np.float64), axis=-1)
    np.testing.assert_allclose(lengths, 1, rtol=BF16 + 1e-4)
    if codec.bits <= 4:  # beyond, rounding the gain hides the difference
        shorter = np.linalg.norm(np.array(codec.decode(fitted)), axis=-1) / np.linalg.norm(x, axis=-1)
        assert shorter.mean() < 1 - 0.3 * (1 - oracle.cosine(x, decoded).mean() ** 2)


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_search_form(codec: ScalarCodec) -> None:
    """Codes nearest to s·u for the best of the scales s, with their least-squares gain."""
    x = vectors(5, 2, 3, 20, 64)
    (codes, gain), (u, rms), levels = stored(codec, codec.encode(mx.array(x))), rotated(codec, x), levels_of(codec)
    scales = (1.0, *SEARCH_SCALES)
    c = levels[codes]
    np.testing.assert_allclose(gain, rms * oracle.least_squares(u, c), rtol=BF16 + 1e-4)
    assert (oracle.cosine(u, c) > oracle.best_cosine(u, levels, scales) - 2e-6).all()
    mismatches = np.min([(codes != oracle.nearest(u * s, levels)).sum(axis=-1) for s in scales], axis=0)
    assert (mismatches <= 1).all()
    assert (mismatches == 0).mean() > 0.95
    if codec.bits > 1:  # with one bit, no scale changes a code
        unscaled = (codes == oracle.nearest(u, levels)).all(axis=-1)
        assert unscaled.mean() < 0.8


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_each_form_is_at_least_as_good_for_every_vector(codec: ScalarCodec) -> None:
    x = vectors(6, 300, 64)
    norm, fitted, searched = (
        oracle.relative_error(x, np.array(c.decode(c.encode(mx.array(x)))))
        for c in (replace(codec, gain="norm", scale_search=False), replace(codec, scale_search=False), codec)
    )
    slack = BF16**2  # of the gain's rounding
    assert (fitted <= norm + slack).all()
    assert (searched <= fitted + slack).all()
    if codec.bits <= 6:  # beyond, the gain's rounding hides what its choice gains
        assert fitted.mean() <= norm.mean()
        assert searched.mean() <= fitted.mean()


@pytest.mark.parametrize("form", [{"gain": "norm", "scale_search": False}, {"scale_search": False}, {}], ids=str)
@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_decode_is_gain_times_level_rotated_back(codec: ScalarCodec, form: dict[str, object]) -> None:
    codec, x = replace(codec, **form), vectors(7, 2, 5, 80)
    code = codec.encode(mx.array(x))
    codes, gain = stored(codec, code)
    expected = (gain * levels_of(codec)[codes]).reshape(-1, 80) @ matrix(codec.rotation, 80)
    decoded = codec.decode(code)
    assert decoded.dtype == mx.float32
    size = np.linalg.norm(x, axis=-1, keepdims=True)
    np.testing.assert_allclose(np.array(decoded) / size, expected.reshape(x.shape) / size, atol=2e-6)


# The format and its price.


@pytest.mark.parametrize("dim", [64, 80, 112, 128, 256])
@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_format_and_price(codec: ScalarCodec, dim: int) -> None:
    """Whole words and bfloat16 gains, the same in all three forms."""
    width, gains = -(-dim * codec.bits // 32), dim // (codec.gain_group or dim)
    for form in ({"gain": "norm", "scale_search": False}, {"scale_search": False}, {}):
        code = replace(codec, **form).encode(mx.ones((2, 3, 5, dim)))
        assert (code.words.dtype, code.words.shape) == (mx.uint32, (2, 3, 5, width))
        assert (code.gain.dtype, code.gain.shape) == (mx.bfloat16, (2, 3, 5, gains))
        assert code.nbytes * 8 == pytest.approx(codec.bits_per_value(dim) * 2 * 3 * 5 * dim, rel=1e-12)
    assert codec.bits_per_value(dim) == (32 * width + 16 * gains) / dim


@pytest.mark.parametrize("cls", [MseCodec, UniformCodec])
def test_four_bits_cost_four_and_a_quarter(cls: type[ScalarCodec]) -> None:
    assert cls(bits=4).bits_per_value(64) == 4.25
    assert cls(bits=4).bits_per_value(128) == 4.125
    assert cls(bits=3).bits_per_value(80) == (8 * 32 + 16) / 80


@pytest.mark.parametrize("cls", [MseCodec, UniformCodec])
def test_gains_of_groups_follow_their_groups(cls: type[ScalarCodec]) -> None:
    """A group's gain is its own, and a group of zeros comes back as zeros."""
    x = vectors(8, 10, 64)
    x[:, 16:32] = 0
    x[:, 48:] *= 1000
    codec = cls(Identity(), bits=8, gain_group=16)
    decoded = np.array(codec.decode(codec.encode(mx.array(x))))
    np.testing.assert_array_equal(decoded[:, 16:32], 0)
    for start in (0, 32, 48):
        assert oracle.relative_error(x[:, start : start + 16], decoded[:, start : start + 16]).max() < 3e-3


# Refusals.


@pytest.mark.parametrize("cls", [MseCodec, UniformCodec])
def test_head_dim_that_groups_do_not_divide(cls: type[ScalarCodec]) -> None:
    with pytest.raises(UnsupportedHeadDimError, match=r"head_dim 80 .*gain_group 32"):
        cls(gain_group=32).encode(mx.ones((2, 80)))
    cls(gain_group=16).encode(mx.ones((2, 80)))


@pytest.mark.parametrize("cls", [MseCodec, UniformCodec])
@pytest.mark.parametrize(
    ("parameters", "value"),
    [
        ({"bits": 0}, "bits is 0"),
        ({"bits": -4}, "bits is -4"),
        ({"bits": 9}, "bits is 9"),
        ({"gain": "l2"}, "'l2'"),
        ({"gain": None}, "None"),
        ({"gain_group": 0}, "gain_group is 0"),
        ({"gain_group": -16}, "gain_group is -16"),
        ({"gain": "norm"}, "scale_search"),
        ({"gain": "norm", "scale_search": True}, "'norm'"),
    ],
    ids=str,
)
def test_bad_parameters(cls: type[ScalarCodec], parameters: dict[str, object], value: str) -> None:
    with pytest.raises(InvalidCodecError, match=value):
        cls(**parameters)


@pytest.mark.parametrize(
    ("cls", "parameters", "value"),
    [
        (UniformCodec, {"bits": 4.5}, "4.5"),
        (MseCodec, {"gain_group": 1.5}, "1.5"),
        (MseCodec, {"gain_group": "32"}, "'32'"),
        (MseCodec, {"gain_group": True}, "True"),
        (MseCodec, {"bits": 4.5}, "4.5"),
        (MseCodec, {"bits": True}, "True"),
        (UniformCodec, {"bits": 4.0}, "4.0"),
        (MseCodec, {"bits": "4"}, "'4'"),
        (UniformCodec, {"bits": None}, "None"),
        (MseCodec, {"scale_search": "no"}, "'no'"),
        (UniformCodec, {"scale_search": 1}, "1"),
        (MseCodec, {"rotation": "hadamard"}, "hadamard"),
        (UniformCodec, {"rotation": None}, "None"),
    ],
    ids=str,
)
def test_parameters_of_a_wrong_type(cls: type[ScalarCodec], parameters: dict[str, object], value: str) -> None:
    """A configuration read from a file must fail where it is read, not in the middle of a generation."""
    with pytest.raises(InvalidCodecError, match=value):
        cls(**parameters)
