"""A run on disk: appended stage by stage, killed at any moment, changed by hand."""

import msgspec
import pytest

import evidence_bundle as eb
from tq_cert.evidence import append_stage, read_stages, seal, verify
from tq_cert.evidence.errors import (
    BundleExistsError,
    DamagedRunError,
    InvalidRecordError,
    StageOrderError,
    UnsealableRunError,
)
from tq_cert.evidence.paths import LOG

replace = msgspec.structs.replace


def slim_runs():
    """The example's runs with few samples, where it does not matter what they come to."""
    return [
        replace(run, series=tuple(replace(one, values=one.values[:2]) for one in run.series[:3])) for run in eb.runs()
    ]


def append_all(directory, runs=None):
    for run in eb.runs() if runs is None else runs:
        own = {path: data for path, data in eb.TABLE.items() if path.startswith(f"stages/{run.stage}.")}
        append_stage(directory, eb.APPLE, run, own)


def files_of(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_what_is_appended_is_read_and_chained(tmp_path):
    append_all(tmp_path, slim_runs())
    assert list(read_stages(tmp_path, eb.APPLE)) == eb.chained(eb.APPLE, slim_runs(), eb.TABLE)


def test_a_sealed_run_verifies_and_the_run_is_left_alone(tmp_path):
    append_all(tmp_path / "run")
    (tmp_path / "run/worker.log").write_text("not evidence")
    before = files_of(tmp_path / "run")
    verdict = seal(tmp_path / "run", eb.manifest(), tmp_path / "bundle")
    report = verify(tmp_path / "bundle")
    assert report.faults == ()
    assert report.verdict == verdict
    assert files_of(tmp_path / "run") == before
    assert files_of(tmp_path / "bundle") == eb.bundle()
    assert {path.name for path in tmp_path.iterdir()} == {"run", "bundle"}


def test_a_bundle_is_never_written_over(tmp_path):
    append_all(tmp_path / "run")
    (tmp_path / "bundle").mkdir()
    with pytest.raises(BundleExistsError):
        seal(tmp_path / "run", eb.manifest(), tmp_path / "bundle")


def test_what_would_not_verify_is_not_sealed(tmp_path):
    append_all(tmp_path / "run")
    with pytest.raises(UnsealableRunError, match=r"manifest\.json: .*\[stale_contract\]"):
        seal(tmp_path / "run", eb.manifest(contract_sha256="0" * 64), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("stages", range(len(eb.EDITION.stages) + 1))
def test_a_run_that_was_killed_after_any_stage_goes_on(stages, tmp_path):
    """Killed after the record was written, but before its line in the log was whole."""
    append_all(tmp_path, slim_runs()[:stages])
    for run in slim_runs()[stages : stages + 1]:
        log = (tmp_path / LOG).read_bytes() if stages else b""
        append_stage(tmp_path, eb.APPLE, replace(run, cases=()))
        line = (tmp_path / LOG).read_bytes()[len(log) :]
        (tmp_path / LOG).write_bytes(log + line[: len(line) // 2])
    assert len(read_stages(tmp_path, eb.APPLE)) == stages
    append_all(tmp_path, slim_runs()[stages:])
    assert list(read_stages(tmp_path, eb.APPLE)) == eb.chained(eb.APPLE, slim_runs(), eb.TABLE)


def test_a_stage_is_recorded_once(tmp_path):
    append_all(tmp_path, slim_runs()[:3])
    with pytest.raises(StageOrderError, match="'cache_roundtrip' is recorded"):
        append_stage(tmp_path, eb.APPLE, eb.runs()[1])


def test_a_run_does_not_go_on_in_another_environment(tmp_path):
    append_all(tmp_path, slim_runs()[:3])
    with pytest.raises(DamagedRunError, match="another environment"):
        read_stages(tmp_path, replace(eb.APPLE, mlx="0.32.5"))


def test_a_run_that_was_changed_does_not_go_on(tmp_path):
    append_all(tmp_path, slim_runs())
    for path in files_of(tmp_path):
        content = (tmp_path / path).read_bytes()
        (tmp_path / path).write_bytes(content.replace(b"6", b"7", 1) if b"6" in content else content + b"x")
        with pytest.raises(DamagedRunError):
            read_stages(tmp_path, eb.APPLE)
        (tmp_path / path).write_bytes(content)
        if path != LOG:
            (tmp_path / path).unlink()
            with pytest.raises(DamagedRunError, match="is missing"):
                read_stages(tmp_path, eb.APPLE)
            (tmp_path / path).write_bytes(content)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"values": (1.0, float("nan"))}, "/series/0/values/1: null"),
        ({"values": (float("inf"),)}, "/series/0/values/0: null"),
        ({"values": ()}, "/series/0/values: too short"),
        ({"name": "KL divergence"}, "/series/0/name"),
        ({"context": -1}, "/series/0/context"),
        ({"unit": ""}, "/series/0/unit"),
        ({"prompt": "half \ud800"}, "surrogates not allowed"),
    ],
)
def test_a_sample_that_is_none_is_refused_and_nothing_is_written(changes, place, tmp_path):
    run = eb.runs()[0]
    with pytest.raises(InvalidRecordError, match=place):
        append_stage(tmp_path, eb.APPLE, replace(run, series=(replace(run.series[0], **changes),)))
    assert files_of(tmp_path) == {}


@pytest.mark.parametrize(
    "path", ["../outside.md", "notes.md", "stages/memory.md", "stages/preflight.json", "stages/preflight.xml"]
)
def test_an_artifact_lies_beside_its_record(path, tmp_path):
    with pytest.raises(InvalidRecordError, match="artifacts of stage 'preflight'"):
        append_stage(tmp_path / "run", eb.APPLE, eb.runs()[0], {path: b"x"})
    assert files_of(tmp_path) == {}
