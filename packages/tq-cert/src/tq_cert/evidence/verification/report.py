"""What the verifier found."""

import msgspec

from tq_cert.evidence.verdict import Verdict
from tq_cert.evidence.verification.faults import Fault, exit_code


class Report(msgspec.Struct, frozen=True):
    """The result of verifying one bundle.

    Attributes:
        bundle: path as it was given.
        verdict: as derived, with every stage and gate; None if the bundle has faults of its own.
        faults: everything that is wrong; empty for an intact bundle that is what was asked for.
        policy: edition that it was derived by, or None.
        families: in scope.
        wheels: that the bundle is about, by file name, with their SHA-256.
        signer: key id of whoever signed, or None.
    """

    bundle: str
    verdict: Verdict | None
    faults: tuple[Fault, ...]
    policy: str | None = None
    families: tuple[str, ...] = ()
    wheels: dict[str, str] = {}
    signer: str | None = None

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return exit_code(self.faults)
