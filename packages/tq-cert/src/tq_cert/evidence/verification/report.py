"""What the verifier found."""

import msgspec

from tq_cert.evidence.verdict import Verdict, VerdictName
from tq_cert.evidence.verification.faults import Fault, exit_code


class Report(msgspec.Struct, frozen=True):
    """The result of verifying one bundle.

    Attributes:
        bundle: path as it was given.
        verdict: what the bundle comes to; None if it has faults of its own, whatever it seems to come to.
        faults: everything that is wrong; empty for an intact bundle that is what was asked for.
        derived: how the verdict was derived; None where the faults do not let it be.
        policy: edition that it was derived by, or None.
        families: in scope.
        wheels: that the bundle is about, by file name, with their SHA-256.
        signer: key id of whoever signed, or None.
    """

    bundle: str
    verdict: VerdictName | None
    faults: tuple[Fault, ...]
    derived: Verdict | None = None
    policy: str | None = None
    families: tuple[str, ...] = ()
    wheels: dict[str, str] = {}
    signer: str | None = None

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return exit_code(self.faults)
