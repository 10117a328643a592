"""What `tq-cert report` refuses."""

from collections.abc import Sequence

from tq_cert.errors import EXIT_FINDINGS, TqCertError

SHOWN = 5


class NothingToReportError(TqCertError):
    """A folder without a benchmark report."""

    def __init__(self, folder: str, others: Sequence[str]) -> None:
        found = f"only {', '.join(others[:SHOWN])}" if others else "no *.json at all"
        super().__init__(
            f"{folder}: no benchmark report of this release below it, {found}",
            "name an evidence bundle, or a folder with the JSON files that tq-cert bench wrote (--out)",
        )


class FaultyBundleError(TqCertError):
    """A bundle that has faults."""

    exit_code = EXIT_FINDINGS

    def __init__(self, bundle: str, faults: Sequence[str]) -> None:
        super().__init__(
            f"{bundle}: {'; '.join(faults[:SHOWN])}",
            f"trust nothing in it; see every fault with: tq-cert verify {bundle}",
        )
