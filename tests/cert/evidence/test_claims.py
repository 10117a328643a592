"""What a document may call passed: the static check asks the verifier about the bundle that it names."""

import broken_bundles as bb
import evidence_bundle as eb
from tq_cert.cli import main
from tq_contract.checks.evidence import reason_not_to_pass


def archive_of(environment, folder):
    files = bb.write(bb.Broken(eb.bundle(eb.manifest(environment)), ""), folder)
    assert main(["pack", str(files), str(folder / "bundle.zip")]) == 0
    return folder / "bundle.zip"


def test_a_passed_bundle_backs_a_claim_and_a_rehearsal_does_not(tmp_path):
    (tmp_path / "apple").mkdir()
    (tmp_path / "linux").mkdir()
    assert reason_not_to_pass(archive_of(eb.APPLE, tmp_path / "apple")) is None
    assert "its verdict is rehearsal, not passed" in reason_not_to_pass(archive_of(eb.LINUX, tmp_path / "linux"))
