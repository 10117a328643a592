"""Every fault that the verifier knows, shown by a bundle that has it and nothing else wrong."""

import re
from pathlib import Path

import pytest

import broken_bundles as bb
import evidence_bundle as eb
from tq_cert.evidence import pack, verify
from tq_cert.evidence.verdict import VERDICTS
from tq_cert.evidence.verification.faults import KINDS, Fault, exit_code

# Faults that come together: wheels of another release are also missing ones; a listing is sealed and in order.
ALSO = {"other_release": {"wrong_refusals"}, "wrong_seal": {"not_canonical"}}


def test_every_fault_has_an_example():
    assert len(KINDS) >= 25
    assert bb.EXAMPLES.keys() == KINDS.keys()


def test_the_page_about_evidence_lists_every_fault_and_every_verdict():
    page = (Path(__file__).parents[3] / "docs/evidence.md").read_text(encoding="utf-8")
    faults = page.partition("## Faults")[2]
    assert set(re.findall(r"`([a-z_]+)`", faults)) == KINDS.keys()
    verdicts = page.partition("## Verdicts")[2].partition("\nA gate")[0]
    assert set(re.findall(r"^\| `([a-z]+)` \|", verdicts, re.MULTILINE)) == set(VERDICTS)


@pytest.mark.parametrize("code", bb.EXAMPLES)
def test_a_broken_bundle_is_refused_by_the_name_of_its_fault(code, tmp_path):
    broken = bb.EXAMPLES[code]()
    report = verify(bb.write(broken, tmp_path), **broken.options)
    assert (code, broken.file) in [(fault.code, fault.file) for fault in report.faults], report.faults
    assert {fault.code for fault in report.faults} - {code} <= ALSO.get(code, set()), report.faults
    assert all(fault.message and fault.remedy for fault in report.faults)
    assert report.exit_code == KINDS[code].exit_code
    assert (report.verdict is None) == (code not in ("other_verdict", "uncertified_wheel"))


@pytest.mark.parametrize("form", ["directory", "zip"])
@pytest.mark.parametrize(("machine", "verdict"), [(eb.APPLE, "passed"), (eb.LINUX, "rehearsal")])
def test_the_valid_example_has_no_fault(form, machine, verdict, tmp_path):
    path = bb.write(bb.Broken(eb.bundle(eb.manifest(machine)), ""), tmp_path)
    if form == "zip":
        pack(path, tmp_path / "bundle.zip")
        path = tmp_path / "bundle.zip"
    report = verify(path, require=verdict)
    assert report.faults == ()
    assert report.verdict.name == verdict
    assert report.exit_code == 0


def test_nan_is_no_json(tmp_path):
    files = eb.bundle()
    path = "stages/memory.json"
    files[path] = files[path].replace(b"800000000.0", b"NaN", 1)
    report = verify(bb.write(bb.Broken(eb.resealed(files), path), tmp_path))
    assert {(fault.code, fault.file) for fault in report.faults} == {("not_json", path)}


@pytest.mark.parametrize("target", ["manifest.json", "stages"])
def test_a_link_in_a_directory_is_not_followed(target, tmp_path):
    path = bb.write(bb.Broken(eb.bundle(), ""), tmp_path)
    (path / target).rename(tmp_path / "elsewhere")
    (path / target).symlink_to(tmp_path / "elsewhere")
    report = verify(path)
    assert {(fault.code, fault.file) for fault in report.faults} == {("not_a_plain_file", target)}


@pytest.mark.parametrize("name", ["/etc/passwd", "..", "a/../../b", "C:\\x", "stages//x", ".hidden", "a\nb", "ä"])
def test_paths_that_lead_elsewhere_are_refused(name, tmp_path):
    report = verify(bb.write(bb.Broken(bb.zipped({name: b""}), ""), tmp_path))
    assert {fault.code for fault in report.faults} == {"bad_path"}


def test_overlapping_members_are_not_unpacked(tmp_path):
    """A member read many times over: every entry of the directory leads to the same bytes."""
    content = bytearray(bb.zipped({f"file{number:03d}": b"x" * 1000 if number == 0 else b"" for number in range(50)}))
    start = content.index(b"PK\x01\x02")
    first = bytes(content[start : start + 46])
    while (start := content.find(b"PK\x01\x02", start)) >= 0:
        for low, high in ((16, 28), (42, 46)):  # checksum and sizes; offset
            content[start + low : start + high] = first[low:high]
        start += 46
    report = verify(bb.write(bb.Broken(bytes(content), ""), tmp_path))
    assert {fault.code for fault in report.faults} == {"too_large"}


def test_findings_outweigh_refusals_to_judge():
    def fault(code):
        return Fault(code, "file", "message", "remedy")

    assert exit_code([]) == 0
    assert exit_code([fault("future_schema")]) == 3
    assert exit_code([fault("future_schema"), fault("wrong_digest")]) == 1
    assert exit_code([fault("unreadable")]) == 2
