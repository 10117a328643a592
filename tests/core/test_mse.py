"""TurboQuant_mse against the theory of its own error."""

import mlx.core as mx
import numpy as np
import pytest
from tests.oracles import densities
from tests.oracles.scalar import relative_error

from tq_core import Identity, MseCodec, RandomOrthogonal

FINITE_OPTIMUM = {  # D → the least D_mse of any codebook at b = 1..5, for vectors of D coordinates
    64: (0.358387, 0.114526, 0.033391, 0.009132, 0.002399),
    128: (0.360889, 0.116, 0.033966, 0.009315, 0.002452),
    256: (0.362136, 0.11674, 0.034256, 0.009408, 0.002478),
}


def theory(bits: int, dim: int) -> float:
    """The exact D_mse of the N(0, 1) codebook with the norm stored, over uniform directions of D coordinates."""
    return densities.sphere_distortion(densities.lloyd_max(bits), dim)


def paper(bits: int) -> MseCodec:
    return MseCodec(bits=bits, gain="norm", scale_search=False)


def gaussian(count: int, dim: int) -> np.ndarray:
    return np.random.default_rng(dim).standard_normal((count, dim)).astype(np.float32)


def measured(codec: MseCodec, x: np.ndarray) -> float:
    """The D_mse, a thousand vectors at a time: they stay in the processor's cache."""
    parts = np.array_split(x, max(1, len(x) // 1000))
    decoded = [np.array(codec.decode(codec.encode(mx.array(part)))) for part in parts]
    return float(relative_error(x, np.concatenate(decoded)).mean())


@pytest.fixture(scope="module", params=FINITE_OPTIMUM)
def many(request: pytest.FixtureRequest) -> np.ndarray:
    return gaussian(8000, request.param)


@pytest.mark.parametrize("dim", FINITE_OPTIMUM)
def test_theory_is_within_a_percent_of_the_published_optimum(dim: int) -> None:
    for bits, optimum in enumerate(FINITE_OPTIMUM[dim], start=1):
        assert optimum * 0.99999 <= theory(bits, dim) <= optimum * 1.01


@pytest.mark.parametrize("bits", range(1, 7))
def test_paper_form_is_within_a_percent_of_theory(many: np.ndarray, bits: int) -> None:
    assert measured(paper(bits), many) == pytest.approx(theory(bits, many.shape[-1]), rel=0.01)


@pytest.mark.parametrize("bits", range(1, 5))
def test_scores_of_the_paper_form_are_all_too_small_by_the_error(bits: int) -> None:
    """Their slope is 1 − D_mse, hence 2/π at 1 bit: the bias that the sketch of the residual takes away."""
    dim, rng = 128, np.random.default_rng(1)
    keys = gaussian(1000, dim)
    queries = keys[:200] + rng.standard_normal((200, dim)).astype(np.float32)  # some truths far from 0
    codec = paper(bits)
    scores = np.array(codec.scores(mx.array(queries), codec.encode(mx.array(keys))))
    truth = queries @ keys.T
    slope = (scores * truth).sum() / np.square(truth).sum()
    assert slope == pytest.approx(1 - theory(bits, dim), rel=0.01)
    if bits == 1:
        assert slope == pytest.approx(2 / np.pi, rel=0.02)


@pytest.mark.parametrize("bits", range(1, 7))
@pytest.mark.parametrize("dim", FINITE_OPTIMUM)
def test_fitted_gain_and_search_only_improve(dim: int, bits: int) -> None:
    x = gaussian(1000, dim)
    norm = measured(paper(bits), x)
    fitted = measured(MseCodec(bits=bits, scale_search=False), x)
    searched = measured(MseCodec(bits=bits), x)
    assert searched <= fitted <= norm
    if bits > 1:
        assert searched < fitted * 0.998


@pytest.mark.parametrize(("bits", "share"), [(3, 0.94), (4, 0.86)])
def test_what_the_search_is_worth_at_128(bits: int, share: float) -> None:
    assert measured(MseCodec(bits=bits), gaussian(5000, 128)) <= share * theory(bits, 128)


@pytest.mark.parametrize("bits", [2, 4])
def test_error_does_not_depend_on_the_direction_once_rotated(bits: int) -> None:
    """Constant, sparse and channel-heavy vectors meet the theory too; without the rotation they do not."""
    rng, dim = np.random.default_rng(0), 128
    constant = np.ones((500, dim)) + 0.05 * rng.standard_normal((500, dim))
    heavy = rng.standard_normal((500, dim)) * np.where(np.arange(dim) % 8 == 0, 30.0, 1.0)
    sparse = np.where(rng.random((500, dim)) < 0.2, rng.standard_normal((500, dim)), 0.0)
    for x in (constant, heavy, sparse):
        x = x.astype(np.float32)
        errors = []
        for seed in range(8):
            codec = MseCodec(RandomOrthogonal(seed), bits=bits, gain="norm", scale_search=False)
            errors.append(measured(codec, x))
        assert np.mean(errors) == pytest.approx(theory(bits, dim), rel=0.08)
    bare = MseCodec(Identity(), bits=bits, gain="norm", scale_search=False)
    assert measured(bare, heavy.astype(np.float32)) > 2 * theory(bits, dim)
