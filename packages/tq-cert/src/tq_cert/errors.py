"""What all errors of tq-cert have in common, and those that any part may raise; others are beside what raises them.

Exit codes of the command line: 0 good, 1 findings, 2 usage or input/output, 3 refused.
"""

from typing import ClassVar

from tq_contract.exit_code import ExitCode

EXIT_GOOD = ExitCode.GOOD
EXIT_FINDINGS = ExitCode.FINDINGS
EXIT_USAGE_OR_IO = ExitCode.USAGE_OR_IO
EXIT_REFUSED = ExitCode.REFUSED


class TqCertError(Exception):
    """Base of all errors here: a message that names the value, and a remedy."""

    exit_code: ClassVar[int] = EXIT_USAGE_OR_IO

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}\n  remedy: {remedy}")
        self.message = message
        self.remedy = remedy


class MissingDependencyError(TqCertError):
    """A Python package that only this job needs is not installed."""

    def __init__(self, module: str, purpose: str, extra: str) -> None:
        super().__init__(
            f"the Python package {module!r} is not installed; it is needed to {purpose}",
            f"pip install 'tq-cert[{extra}]'",
        )


class FileAccessError(TqCertError):
    """A file named on the command line could not be read or written."""

    def __init__(self, path: str, cause: Exception) -> None:
        super().__init__(f"cannot use the file {path}: {cause}", "check the path and its permissions")


class OptionError(TqCertError):
    """A value of an option that makes no sense, alone or with the others."""

    def __init__(self, option: str, problem: str, remedy: str) -> None:
        super().__init__(f"{option}: {problem}", remedy)
