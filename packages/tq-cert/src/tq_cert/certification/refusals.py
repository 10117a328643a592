"""What to do about each reason why a run cannot certify; which of them hold, `tq_cert.evidence.refusals` derives."""

from collections.abc import Sequence

from tq_cert.errors import EXIT_REFUSED, TqCertError
from tq_cert.evidence import Refusal
from tq_cert.evidence.manifest import RefusalCode

REMEDIES: dict[RefusalCode, str] = {
    "not_apple_silicon": "certify on an Apple Silicon Mac; elsewhere a run is a rehearsal",
    "virtual_gpu": "certify on a Mac itself, not in a virtual machine; there a run is a rehearsal",
    "rosetta": "use an arm64 Python: this one is translated",
    "editable_install": "build the wheels (`uv build --all-packages`) and install them in an environment of their own",
    "missing_wheels": "name the folder of the installed wheels with --wheels; they must be of this release, unchanged",
    "dirty_tree": "commit or undo what `git status` shows",
    "outside_window": "install a version within the contract's window",
    "unpinned_weights": "let TQ_TEST_…_MODEL name a repository of the hub (OWNER/MODEL) or a snapshot of one revision "
    "(…/snapshots/COMMIT), or leave it unset to use the sample model",
    "overriding_environment": "unset the variable",
}


class CertificationRefusedError(TqCertError):
    """On this Mac a certificate was possible, but not like this."""

    exit_code = EXIT_REFUSED

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(
            "this run could not certify: " + "; ".join(f"{one.code} ({one.detail})" for one in refusals),
            "; ".join(dict.fromkeys(REMEDIES[one.code] for one in refusals)),
        )


def described(refusal: Refusal) -> str:
    """The refusal in one line, for people."""
    return f"{refusal.code}: {refusal.detail} ({REMEDIES[refusal.code]})"
