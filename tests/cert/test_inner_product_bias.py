"""`tq-cert bench inner-product-bias`: estimates against theory, and against NumPy in float64."""

import math

import msgspec
import numpy as np
import pytest
from tests.oracles import densities

import tq_mlx  # noqa: F401  (first: it loads OpenBLAS before MLX is imported)

# isort: split
import mlx.core as mx

from tq_cert.cli import main
from tq_cert.errors import OptionError
from tq_cert.lanes.codecs import codec_of
from tq_cert.lanes.forms import FORMS, WIDTHS, Candidate, candidates, parse_forms
from tq_cert.lanes.inner_product_bias.measure import errors
from tq_cert.lanes.inner_product_bias.record import BiasReport, Estimate
from tq_cert.lanes.inner_product_bias.settings import BiasSettings
from tq_cert.lanes.inner_product_bias.theory import LLOYD_MAX_D_MSE, theory_of
from tq_cert.lanes.lists import parse_numbers
from tq_cert.lanes.quality.statistics import mean_interval

VARIANCE_TIMES_D = {1: 1.5708, 2: 0.5708, 3: 0.1845, 4: 0.0543}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> BiasReport:
    folder = tmp_path_factory.mktemp("report")
    command = ["bench", "inner-product-bias", "--head-dims", "128", "--seeds", "8", "--vectors", "512"]
    assert main([*command, "--out", str(folder / "r.json"), "--markdown", str(folder / "r.md")]) == 0
    assert "| prod 4 |" in (folder / "r.md").read_text()
    return msgspec.json.decode((folder / "r.json").read_bytes(), type=BiasReport)


def rows(report: BiasReport, form: str):
    return [row for row in report.rows if row.candidate.form == form]


def test_every_codec_at_every_width_that_it_comes_in(report: BiasReport) -> None:
    assert {(row.candidate.form, row.candidate.bits) for row in report.rows} == {
        (form, bits) for form in FORMS for bits in (1, 2, 3, 4) if bits in WIDTHS[form]
    }
    assert report.model is None
    assert report.provenance.device


def test_prod_has_no_bias_and_the_variance_of_the_theory(report: BiasReport) -> None:
    for row in rows(report, "prod"):
        # Five standard errors: an unbiased estimate exceeds them once in a million.
        low, high = row.slope_error.interval
        assert abs(row.slope_error.mean) < 2.2 * (high - low) / 2
        assert row.error_times_dim.mean == pytest.approx(VARIANCE_TIMES_D[row.candidate.bits], rel=0.05)
        assert row.theory.error_times_dim == pytest.approx(VARIANCE_TIMES_D[row.candidate.bits], abs=1e-4)


def test_mse_shortens_by_its_distortion(report: BiasReport) -> None:
    for row in rows(report, "mse"):
        distortion = densities.distortion(densities.lloyd_max(row.candidate.bits), densities.normal)
        assert pytest.approx(distortion, rel=1e-4) == LLOYD_MAX_D_MSE[row.candidate.bits]
        assert row.slope_error.mean == pytest.approx(-distortion, rel=0.1)
        assert row.error_times_dim.mean == pytest.approx(distortion, rel=0.05)
        for bias in row.biases:
            assert bias.error.mean == pytest.approx(bias.cosine * row.slope_error.mean, abs=0.002)


def test_every_codec_but_prod_is_biased_and_errs_less(report: BiasReport) -> None:
    prod = {row.candidate.bits: row for row in rows(report, "prod")}
    for row in report.rows:
        if row.candidate.form != "prod":
            assert row.slope_error.interval[1] < 0
            assert row.error_times_dim.mean < prod[row.candidate.bits].error_times_dim.mean


def test_estimates_are_means_over_seeds(report: BiasReport) -> None:
    for row in report.rows:
        for estimate in (row.slope_error, row.error_times_dim, *(bias.error for bias in row.biases)):
            assert len(estimate.samples) == 8
            assert estimate == Estimate(
                math.fsum(estimate.samples) / 8, mean_interval(estimate.samples), estimate.samples
            )


def test_errors_are_those_of_the_decoded_vectors() -> None:
    """The mean squared error of independent queries is ‖x - x̂‖²/D, whatever the queries are."""
    settings = BiasSettings(vectors=256, queries=64)
    for candidate in (Candidate("mse", 2), Candidate("polar", 3)):
        at_cosines, square = errors(candidate, 64, settings, seed=3)
        x = mx.random.normal((256, 1, 64), key=mx.random.split(mx.random.key(3))[0])
        x = x / mx.linalg.norm(x, axis=-1, keepdims=True)
        codec = codec_of(candidate, 3)
        exact, decoded = (np.array(each, dtype=np.float64) for each in (x, codec.decode(codec.encode(x))))
        missed = ((decoded - exact) ** 2).sum(axis=-1)
        assert 64 * square == pytest.approx(missed.mean(), rel=0.03)
        along = ((decoded - exact) * exact).sum(axis=-1).mean()
        for cosine, error in zip(settings.cosines, at_cosines, strict=True):
            assert error == pytest.approx(cosine * along, abs=0.003)


def test_theory_is_silent_where_it_has_no_formula() -> None:
    assert theory_of(Candidate("uniform", 4)) is None
    assert theory_of(Candidate("prod", 8)) is None


def test_lists_are_checked() -> None:
    assert parse_forms("mse, prod") == ("prod", "mse")
    with pytest.raises(OptionError, match="'mse' comes twice"):
        parse_forms("mse,mse")
    with pytest.raises(OptionError, match="no list of numbers"):
        parse_numbers("--bits", "two")
    with pytest.raises(OptionError, match="below 1"):
        parse_numbers("--bits", "0")
    with pytest.raises(OptionError, match="none of polar has 8 bits"):
        candidates(("polar",), (8,))
    assert main(["bench", "inner-product-bias", "--seeds", "1"]) == 2
