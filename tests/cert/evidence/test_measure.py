"""From samples to a metric, against NumPy, and what has no value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tq_cert.evidence import Series
from tq_cert.evidence.measure import NotMeasurableError, measured
from tq_cert.evidence.metrics import Measure

SAMPLES = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=40)
SERIES = st.lists(SAMPLES, min_size=1, max_size=5)
PAIRED = st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)), min_size=1, max_size=40)


def series(name, values, preset="lloyd_k4v4", prompt=None, context=None, **changes):
    fields = {"unit": "nats", "family": "llama", "seed": None, **changes}
    return Series(name=name, values=tuple(values), preset=preset, prompt=prompt, context=context, **fields)


def windows(name, many, preset="lloyd_k4v4"):
    return [series(name, values, preset, f"window {index}") for index, values in enumerate(many)]


def value(measure, found):
    return measured(measure, found, "llama", "lloyd_k4v4")[0]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("sum", np.sum),
        ("mean", np.mean),
        ("max", np.max),
        ("min", np.min),
        ("p99", lambda samples: np.quantile(samples, 0.99)),
        ("distinct", lambda samples: np.unique(samples).size),
    ],
)
@settings(max_examples=30)
@given(many=SERIES)
def test_a_metric_of_samples_is_numpys(how, expected, many):
    found = [*windows("kl", many), series("kl", [1e9, 1e9], preset="paper_mse"), series("other", [1e9])]
    np.testing.assert_allclose(value(Measure("m", how, "kl"), found), expected(np.concatenate(many)), rtol=1e-12)


@settings(max_examples=30)
@given(many=SERIES)
def test_series_are_counted(many):
    assert value(Measure("m", "series", "kl"), windows("kl", many)) == len(many)


@settings(max_examples=30)
@given(many=st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=30))
def test_a_ratio_of_means_is_over_all_windows(many):
    ours, theirs = np.transpose(many)
    found = [
        *windows("kl", [[one, 2 * one] for one in ours]),
        *windows("base", [[one, one] for one in theirs], preset=None)[::-1],
    ]
    expected = 1.5 * ours.mean() / theirs.mean()
    np.testing.assert_allclose(value(Measure("m", "ratio_of_means", "kl", "base"), found), expected, rtol=1e-12)


@settings(max_examples=30)
@given(many=st.lists(PAIRED, min_size=1, max_size=5))
def test_the_largest_ratio_is_the_median_of_those_taken_together_at_one_context(many):
    found = [
        one
        for index, (ours, theirs) in enumerate(np.transpose(pairs).tolist() for pairs in many)
        for one in (series("s", ours, context=index), series("base", theirs, preset=None, context=index))
    ]
    expected = max(np.median(np.divide(*np.transpose(pairs))) for pairs in many)
    np.testing.assert_allclose(value(Measure("m", "largest_ratio", "s", "base"), found), expected, rtol=1e-12)


def test_turns_that_something_else_slowed_down_move_no_ratio():
    slow = [3.0 if 3 <= turn < 8 else 1.0 for turn in range(9)]  # one turn more than half are slow for us, one less
    ours, theirs = [1.05 * factor for factor in slow], list(slow)
    theirs[7] = 1.0  # in this turn the slow time ended between the two
    found = [series("s", ours, context=4096), series("base", theirs, None, context=4096)]
    assert np.median(ours) / np.median(theirs) > 3
    assert value(Measure("m", "largest_ratio", "s", "base", samples=8), found) == pytest.approx(1.05)


def test_short_contexts_are_left_out():
    measure = Measure("m", "largest_ratio", "s", "base", context=4096)
    found = [
        series(name, [seconds], preset, context=context)
        for context, ours in ((512, 9.0), (4096, 2.0), (8192, 3.0))
        for name, preset, seconds in (("s", "lloyd_k4v4", ours), ("base", None, 1.0))
    ]
    assert value(measure, found) == 3.0
    with pytest.raises(NotMeasurableError, match="0 samples of s, and it takes at least 1 at 4096 tokens or more"):
        value(measure, found[:2])


@pytest.mark.parametrize(
    ("measure", "found", "why"),
    [
        (Measure("m", "mean", "kl"), [], "0 samples of kl"),
        (Measure("m", "mean", "kl"), [series("kl", [1.0], preset="paper_mse")], "0 samples of kl"),
        (Measure("m", "mean", "kl"), [series("kl", [1.0], family="gemma")], "0 samples of kl"),
        (Measure("m", "mean", "kl", samples=3), windows("kl", [[1.0], [2.0]]), "2 samples of kl.* at least 3"),
        (Measure("m", "mean", "kl", never_zero=True), windows("kl", [[1.0], [0.0, -0.0]]), "window 1.* exactly zero"),
        (Measure("m", "ratio_of_means", "kl", "base"), windows("kl", [[1.0]]), "no baseline"),
        (
            Measure("m", "ratio_of_means", "kl", "base"),
            [*windows("kl", [[1.0]]), *windows("base", [[1.0], [1.0]], None)],
            "base .llama, window 1. is a baseline of nothing",
        ),
        (
            Measure("m", "ratio_of_means", "kl", "base"),
            [*windows("kl", [[1.0]]), *windows("base", [[1.0, 2.0]], None)],
            "1 samples, its baseline 2",
        ),
        (
            Measure("m", "largest_ratio", "kl", "base"),
            [series("kl", [1.0]), series("base", [1.0], None, unit="bits")],
            "is in nats, its baseline in bits",
        ),
        (
            Measure("m", "largest_ratio", "kl", "base"),
            [series("kl", [1.0]), series("base", [0.0], None)],
            "base .llama. comes to 0: there is no ratio",
        ),
        (
            Measure("m", "ratio_of_means", "kl", "base"),
            [series("kl", [-1.0, 1.0]), series("base", [1.0, 1.0], None)],
            "kl .llama, lloyd_k4v4. comes to 0: there is no ratio",
        ),
        (
            Measure("m", "largest_ratio", "kl", "base", samples=2),
            [*windows("kl", [[1.0, 2.0], [1.0]]), *windows("base", [[1.0, 2.0], [1.0]], None)],
            "kl .llama, lloyd_k4v4, window 1. has 1 samples; it takes 2",
        ),
        (
            Measure("m", "largest_ratio", "kl", "base"),
            [series("kl", [1.0, 2.0]), series("base", [1.0], None)],
            "2 samples, its baseline 1",
        ),
    ],
)
def test_what_has_no_value_says_why(measure, found, why):
    with pytest.raises(NotMeasurableError, match=why):
        value(measure, found)
