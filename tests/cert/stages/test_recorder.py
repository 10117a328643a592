"""What a stage's checks leave: an outcome in the record, and where an error came from in the log."""

from tq_cert.stages.recorder import Recorder, check


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
