"""Strict preflight: what has to hold before anything is measured."""

import tq_contract
import tq_mlx
from tq_cert import sample_models
from tq_cert.evidence.policy.load import CURRENT, load_edition
from tq_cert.evidence.refusals import is_rehearsal, refusals_of
from tq_cert.inspection.environment import find_environment
from tq_cert.inspection.installation import changed_files
from tq_cert.progress import Silent
from tq_cert.stages.recorder import Recorder, check
from tq_cert.stages.setting import Setting

BEFOREHAND = frozenset({"not_apple_silicon", "virtual_gpu", "editable_install", "missing_wheels", "dirty_tree"})
"""Refusals that the manifest tells and that spoil no measurement: a rehearsal goes on with them."""


def measure(setting: Setting, recorder: Recorder) -> None:
    """Make every check, and count those that did not hold."""
    with recorder.case("the policy is of this contract"):
        edition = load_edition(CURRENT)
        check(edition.contract_sha256 == tq_contract.digest(), f"{CURRENT} was made from another contract")
    with recorder.case("the hooks are in place"):
        check(tq_mlx.installed(), "mlx-lm's functions are not replaced")
    with recorder.case("the installed files are those of the wheels"):
        changed = changed_files()
        check(not changed, f"changed since they were installed: {', '.join(changed[:5])}")
    check_environment(recorder)
    for family, source in setting.sources.items():
        with recorder.case(f"the model of {family} is of that family"):
            info = setting.model(family).info
            check(info.family == family, f"{info.name} is a {info.model_type}, of the family {info.family}")
        if source.sample:
            with recorder.case(f"the sample model of {family} is intact"):
                sample_models.build(source.sample, progress=Silent(), verify=True)
    recorder.add("failed_checks", "checks", [len(failed(recorder))])


def check_environment(recorder: Recorder) -> None:
    """Check what the verifier derives from the environment; what is known beforehand only names a rehearsal."""
    refusals = refusals_of(find_environment(), (), (), load_edition(CURRENT))
    excused = BEFOREHAND if is_rehearsal(refusals) else frozenset({"missing_wheels"})
    for refusal in refusals:
        if refusal.code in excused:
            recorder.skipped(refusal.code, f"a rehearsal: {refusal.detail}")
        else:
            with recorder.case(refusal.code):
                check(False, refusal.detail)


def failed(recorder: Recorder) -> list[str]:
    """Names of the checks that did not hold."""
    return [case.name for case in recorder.cases if case.outcome in ("failed", "error")]
