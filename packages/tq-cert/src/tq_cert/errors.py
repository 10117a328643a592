"""Every error that tq-cert raises on purpose: what is wrong, what to do about it, and the exit code.

Exit codes of the command line: 0 good, 1 findings, 2 usage or input/output, 3 refused.
"""

from collections.abc import Sequence
from typing import ClassVar

EXIT_GOOD = 0
EXIT_FINDINGS = 1
EXIT_USAGE_OR_IO = 2
EXIT_REFUSED = 3


class TqCertError(Exception):
    """Base of all errors here: a message that names the value, and a remedy."""

    exit_code: ClassVar[int] = EXIT_USAGE_OR_IO

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}\n  remedy: {remedy}")
        self.message = message
        self.remedy = remedy


class UnknownSampleModelError(TqCertError):
    """A model name that no recipe has."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown sample model {name!r}", f"choose one of {', '.join(known)}")


class UnsupportedDtypeError(TqCertError):
    """A dtype that sample models are not written in."""

    def __init__(self, dtype: str, known: Sequence[str]) -> None:
        super().__init__(f"unsupported dtype {dtype!r}", f"choose one of {', '.join(known)}")


class MissingDependencyError(TqCertError):
    """A Python package that only this job needs is not installed."""

    def __init__(self, module: str, purpose: str, extra: str) -> None:
        super().__init__(
            f"the Python package {module!r} is not installed; it is needed to {purpose}",
            f"pip install 'tq-cert[{extra}]'",
        )


class DownloadError(TqCertError):
    """Pip could not fetch the pinned packages."""

    def __init__(self, packages: Sequence[str], detail: str) -> None:
        super().__init__(
            f"pip could not download {', '.join(packages)}: {detail}",
            "check the network and pip's index settings ('pip config list'), then run this again; "
            "nothing half-done was left behind",
        )


class DigestMismatchError(TqCertError):
    """Downloaded bytes are not the pinned ones."""

    exit_code = EXIT_REFUSED

    def __init__(self, what: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{what} has the wrong content: expected {expected}, got {actual}",
            "do not use it; find out which package index or proxy served it, then run this again",
        )


class UnexpectedContentError(TqCertError):
    """A file is intact but holds something that its recipe does not describe."""

    exit_code = EXIT_REFUSED

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(
            f"{where}: {problem}",
            "the recipe and the file disagree: correct the recipe in tq_cert.sample_models.recipes",
        )


class DamagedSampleModelError(TqCertError):
    """A built sample model no longer has the content that its manifest states."""

    exit_code = EXIT_FINDINGS

    def __init__(self, directory: str, findings: Sequence[str]) -> None:
        super().__init__(
            f"the sample model in {directory} is damaged: {'; '.join(findings)}",
            "build it again with --rebuild",
        )
        self.findings = tuple(findings)


class SampleModelIOError(TqCertError):
    """Reading or writing failed while a sample model was being built."""

    def __init__(self, directory: str, cause: OSError) -> None:
        super().__init__(
            f"cannot build the sample model {directory}: {cause}",
            "check free space and permissions there, or set TQ_CACHE_DIR to another directory",
        )
