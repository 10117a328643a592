"""Rotations: orthogonal, their own inverses' inverses, named by their seed, Gaussian in what they yield."""

import json
import threading
from collections.abc import Callable

import mlx.core as mx
import numpy as np
import pytest
from tests.oracles.rotations import hadamard, matrix, served_block

from tq_core import Hadamard, Identity, InvalidCodecError, RandomOrthogonal, Rotation, UnsupportedHeadDimError, rotation
from tq_core.rotation import block_size, gaussian_q, shuffle, signs

PLAIN = (64, 80, 96, 112, 128, 192, 256, 512)
BLOCKS = (48, 72, 144, 176, 432)
KINDS = (Hadamard, RandomOrthogonal, Identity)
ROTATIONS = [Hadamard(0), Hadamard(5), RandomOrthogonal(0), Identity()]
TOLERANCE = {mx.float32: 2e-6, mx.bfloat16: 2e-2, mx.float16: 2e-3}


def gaussian(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def kurtosis(y: np.ndarray) -> float:
    """The fourth moment of a vector's coordinates over the square of the second, its mean; 3 for normal ones."""
    y = y.astype(np.float64)
    return float((np.mean(y**4, axis=-1) / np.mean(y**2, axis=-1) ** 2).mean())


@pytest.mark.parametrize("dim", PLAIN + BLOCKS)
@pytest.mark.parametrize("r", ROTATIONS, ids=str)
def test_orthogonal(r: Rotation, dim: int) -> None:
    m = matrix(r, dim)
    np.testing.assert_allclose(m @ m.T, np.eye(dim), atol=1e-5)


@pytest.mark.parametrize("dim", PLAIN + BLOCKS)
@pytest.mark.parametrize("r", ROTATIONS, ids=str)
def test_apply_is_that_matrix_and_invert_its_transpose(r: Rotation, dim: int) -> None:
    """On vectors with leading axes; so invert∘apply is the identity, and apply∘invert too."""
    x, m = gaussian(dim, 2, 3, 4, dim), matrix(r, dim)
    y = r.apply(mx.array(x))
    np.testing.assert_allclose(np.array(y), x @ m.T, atol=2e-5)
    np.testing.assert_allclose(np.array(r.invert(mx.array(x))), x @ m, atol=2e-5)
    np.testing.assert_allclose(np.array(r.invert(y)), x, atol=1e-5)
    np.testing.assert_allclose(np.array(r.apply(r.invert(mx.array(x)))), x, atol=1e-5)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("dim", [64, 80, 112, 176, 512])
@pytest.mark.parametrize("r", ROTATIONS, ids=str)
def test_norms_are_kept_in_every_dtype(r: Rotation, dim: int, dtype: mx.Dtype) -> None:
    x = mx.array(gaussian(dim, 20, dim)).astype(dtype)
    y = r.apply(x)
    back = r.invert(y)
    assert (y.dtype, y.shape) == (dtype, x.shape)
    assert (back.dtype, back.shape) == (dtype, x.shape)
    x, y, back = (np.array(a.astype(mx.float32)) for a in (x, y, back))
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), np.linalg.norm(x, axis=-1), rtol=TOLERANCE[dtype])
    assert np.linalg.norm(back - x) <= 2 * TOLERANCE[dtype] * np.linalg.norm(x)


@pytest.mark.parametrize("dim", [64, 128, 256])
def test_hadamard_is_sylvester_s_matrix_after_random_signs(dim: int) -> None:
    m = matrix(Hadamard(3), dim) * np.sqrt(dim)
    first = m[0]  # of Sylvester's matrix, all ones
    np.testing.assert_allclose(np.abs(first), 1, atol=1e-5)
    np.testing.assert_allclose(m, hadamard(dim) * np.sign(first), atol=1e-4)
    assert dim * 0.25 < (first > 0).sum() < dim * 0.75


@pytest.mark.parametrize("dim", [48, 80, 96, 112, 192])
def test_one_block_of_m_2k_spreads_each_coordinate_over_all(dim: int) -> None:
    np.testing.assert_allclose(np.abs(matrix(Hadamard(0), dim)), dim**-0.5, rtol=1e-4)


@pytest.mark.parametrize("dim", [72, 144, 176, 432])
def test_blocks_reach_each_other(dim: int) -> None:
    block = served_block(dim)
    assert block is not None
    assert block < dim
    m = np.abs(matrix(Hadamard(0), dim)) > 1e-4
    blocks = m.reshape(dim // block, block, dim // block, block).any(axis=(1, 3))
    assert blocks.mean() > 0.75  # of all pairs (to, from)
    assert m.sum(axis=0).min() >= dim // 3  # and every coordinate spreads over many others


def test_random_orthogonal_is_haar() -> None:
    """Q of a Gaussian with R's diagonal positive: entries N(0, 1/D), determinants of both signs."""
    dim = 96
    m = matrix(RandomOrthogonal(0), dim)
    assert kurtosis(m.reshape(1, -1)) == pytest.approx(3, abs=0.2)
    assert abs(m.mean()) < 0.005
    assert abs(np.trace(m)) < 4  # a matrix near the identity, or one with a sign missing, has a large trace
    small = [matrix(RandomOrthogonal(seed), 2) for seed in range(40)]
    assert {round(np.linalg.det(m)) for m in small} == {-1, 1}
    assert {bool(m[0, 0] > 0) for m in small} == {False, True}


@pytest.mark.parametrize("dim", [64, 72, 80])
def test_identity_is_the_identity(dim: int) -> None:
    np.testing.assert_array_equal(matrix(Identity(4), dim), np.eye(dim))


# What a seed names.


@pytest.mark.parametrize("dim", [64, 80, 72])
@pytest.mark.parametrize("kind", [Hadamard, RandomOrthogonal])
def test_seeds_differ_and_repeat(kind: type[Rotation], dim: int) -> None:
    matrices = [matrix(kind(seed), dim) for seed in range(5)]
    for i, a in enumerate(matrices):
        np.testing.assert_array_equal(a, matrix(kind(i), dim))
        for b in matrices[:i]:
            assert np.abs(a - b).max() > 1 / dim


@pytest.mark.parametrize("kind", [Hadamard, RandomOrthogonal])
def test_head_dims_draw_their_own_randomness(kind: type[Rotation]) -> None:
    small, large = matrix(kind(0), 64), matrix(kind(0), 128)
    assert not np.array_equal(np.sign(large[0, :64]), np.sign(small[0]))


def test_a_seed_names_the_same_rotation_for_ever() -> None:
    """Compressed caches on disk hold only the seed: a change here turns every one of them into noise."""
    drawn = "".join("-" if s < 0 else "+" for s in matrix(Hadamard(0), 64)[0])
    assert drawn == "+-----++-+--+----+--+--+---+-+--++-+--+++------+-+--+-++-+----+-"
    three_blocks = [[-1, 1, -1, -3, -1, 3], [-3, -5, -3, -1, -7, -3], [3, 1, 3, 5, 3, -5]]
    np.testing.assert_allclose(matrix(Hadamard(1), 72)[:3, :6] * 24, three_blocks, atol=1e-5)
    q = [[-0.2160544, 0.9688756, 0.1208335], [-0.8794852, -0.2468668, 0.4068937], [0.424059, -0.0183601, 0.9054484]]
    np.testing.assert_allclose(matrix(RandomOrthogonal(0), 3), q, atol=1e-6)


def test_same_rotation_in_a_fresh_process(fresh_python: Callable) -> None:
    code = (
        "import json, mlx.core as mx; from tq_core import Hadamard, RandomOrthogonal;"
        "x = mx.arange(72) % 7 - 3.0;"
        "print(json.dumps([r.apply(x).tolist() for r in (Hadamard(9), RandomOrthogonal(9))]))"
    )
    result = fresh_python(code)
    assert result.returncode == 0, result.stderr
    x = mx.arange(72) % 7 - 3.0
    for theirs, r in zip(json.loads(result.stdout), (Hadamard(9), RandomOrthogonal(9)), strict=True):
        np.testing.assert_allclose(theirs, np.array(r.apply(x)), atol=2e-5)  # their BLAS may be another one


@pytest.mark.parametrize("device", [mx.cpu, mx.gpu], ids=["cpu", "gpu"])
@pytest.mark.parametrize("dim", [64, 80, 72])
@pytest.mark.parametrize("kind", [Hadamard, RandomOrthogonal])
def test_same_rotation_on_every_stream_and_device(kind: type[Rotation], dim: int, device: mx.DeviceType) -> None:
    if not mx.is_available(device):
        pytest.skip(f"no {device}")
    here = matrix(kind(2), dim)
    for cached in (signs, shuffle, gaussian_q):
        cached.cache_clear()
    with mx.stream(mx.new_stream(device)):
        np.testing.assert_allclose(matrix(kind(2), dim), here, atol=1e-6)


@pytest.mark.parametrize("dim", [64, 80, 72])
@pytest.mark.parametrize("kind", [Hadamard, RandomOrthogonal])
def test_first_use_inside_compile_or_another_thread_leaves_nothing_broken(kind: type[Rotation], dim: int) -> None:
    """The cached arrays must not be tracers, nor bound to a stream of a thread that is gone."""
    x = mx.array(gaussian(0, 3, dim))
    compiled, threaded = kind(1001), kind(1002)
    y = mx.compile(compiled.apply)(x)
    np.testing.assert_allclose(np.array(compiled.apply(x)), np.array(y), atol=2e-6)
    np.testing.assert_allclose(np.array(mx.compile(compiled.invert)(y)), np.array(x), atol=1e-5)

    seen: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: seen.append(np.array(threaded.apply(x))))
    thread.start()
    thread.join()
    np.testing.assert_allclose(np.array(threaded.apply(x)), seen[0], atol=2e-6)


# What rotations are for.


@pytest.mark.parametrize("dim", PLAIN + BLOCKS)
@pytest.mark.parametrize("kind", [Hadamard, RandomOrthogonal])
def test_outlier_channels_become_gaussian(kind: type[Rotation], dim: int) -> None:
    """Keys with one channel in four far larger than the rest, as real models have them."""
    x = gaussian(dim, 300, dim)
    x[:, ::4] *= 20
    assert kurtosis(x) > 7
    assert kurtosis(np.array(kind(0).apply(mx.array(x)))) == pytest.approx(3, abs=0.5)


@pytest.mark.parametrize("dim", [64, 80, 128, 256])
def test_random_signs_break_up_a_constant_vector(dim: int) -> None:
    """Without them, a Hadamard transform piles a constant vector up in one coordinate."""
    one = mx.ones((1, dim))
    spread = [kurtosis(np.array(Hadamard(seed).apply(one))) for seed in range(40)]
    assert np.mean(spread) == pytest.approx(3, abs=0.5)
    assert np.max(spread) < 12


# Which head dimensions are served.


def test_which_head_dims_hadamard_serves() -> None:
    for dim in range(-1, 600):
        expected = served_block(dim) if dim > 0 else None
        if expected is not None:
            Hadamard().check(dim)
            assert block_size(dim) == expected
        else:
            with pytest.raises(UnsupportedHeadDimError, match=rf"head_dim {dim} .*random_orthogonal"):
                Hadamard().check(dim)


@pytest.mark.parametrize("dim", [65, 7, 36, 108, 324, 8])
def test_refused_head_dims_are_served_by_random_orthogonal(dim: int) -> None:
    for use in (Hadamard().apply, Hadamard().invert):
        with pytest.raises(UnsupportedHeadDimError, match=str(dim)):
            use(mx.zeros((2, dim)))
    r, x = RandomOrthogonal(0), gaussian(0, 2, dim)
    r.check(dim)
    m = matrix(r, dim)
    np.testing.assert_allclose(m @ m.T, np.eye(dim), atol=1e-5)
    np.testing.assert_allclose(np.array(r.invert(r.apply(mx.array(x)))), x, atol=1e-5)


@pytest.mark.parametrize("dim", [0, -3])
@pytest.mark.parametrize("r", [RandomOrthogonal(), Identity()], ids=str)
def test_no_dimension_at_all(r: Rotation, dim: int) -> None:
    with pytest.raises(UnsupportedHeadDimError, match=f"head_dim is {dim}"):
        r.check(dim)


def test_mlx_sees_only_sizes_that_it_has_tables_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLX takes 36 and 72 for 12·2^k and reads past its tables."""
    real, sizes = mx.hadamard_transform, set()

    def spy(a: mx.array, scale: float | None = None) -> mx.array:
        sizes.add(a.shape[-1])
        assert a.shape[-1] in {m << k for m in (1, 12, 20, 28) for k in range(16)}
        return real(a, scale=scale)

    monkeypatch.setattr(mx, "hadamard_transform", spy)
    for dim in [d for d in range(1, 260) if served_block(d)]:
        Hadamard().invert(Hadamard().apply(mx.ones((1, dim))))
    assert {16, 64, 48, 80, 112, 256} < sizes


# The objects themselves.


@pytest.mark.parametrize("cls", KINDS)
def test_by_name(cls: type[Rotation]) -> None:
    assert rotation(cls.kind, 3) == cls(3)
    assert rotation(cls.kind) == cls(0)
    assert hash(cls(3)) == hash(cls(3))
    assert cls(3) != cls(4)
    assert len({kind(3) for kind in KINDS}) == 3


def test_unknown_kind() -> None:
    with pytest.raises(InvalidCodecError, match=r"'dct'.*hadamard, random_orthogonal, identity"):
        rotation("dct")


@pytest.mark.parametrize("cls", KINDS)
def test_negative_seed(cls: type[Rotation]) -> None:
    with pytest.raises(InvalidCodecError, match=r"seed is -1"):
        cls(-1)


@pytest.mark.parametrize("seed", [1.5, "1", None, True])
def test_seed_that_is_no_integer(seed: object) -> None:
    with pytest.raises(InvalidCodecError, match=str(seed)):
        Hadamard(seed)  # pyright: ignore[reportArgumentType]
