"""What a stage's checks leave: an outcome in the record, and where an error came from in the log."""

import math

import pytest

from tq_cert.stages.recorder import CheckFailedError, Recorder, check


def out_of_luck():
    raise ValueError("no luck")


def test_an_error_is_recorded_in_a_line_and_its_place_is_in_the_log(capsys):
    recorder = Recorder()
    with recorder.case("lucky"):
        check(True, "")
    with recorder.case("refuted"):
        check(False, "it does not hold")
    assert capsys.readouterr().err == ""
    with recorder.case("unlucky"):
        out_of_luck()
    assert [(case.name, case.outcome, case.message) for case in recorder.cases] == [
        ("lucky", "passed", None),
        ("refuted", "failed", "it does not hold"),
        ("unlucky", "error", "ValueError: no luck"),
    ]
    assert "in out_of_luck" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "why"),
    [([], "kl has no samples"), ([0.5, math.nan], "sample 1 of kl is nan"), ([-math.inf], "sample 0 of kl is -inf")],
)
def test_what_no_record_can_hold_is_a_failed_check(values, why):
    recorder = Recorder()
    with pytest.raises(CheckFailedError, match=why):
        recorder.add("kl", "nats", values)
    assert recorder.series == []
