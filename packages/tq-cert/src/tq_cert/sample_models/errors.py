"""What goes wrong while a sample model is fetched, translated or kept."""

from collections.abc import Sequence

from tq_cert.errors import EXIT_FINDINGS, EXIT_REFUSED, TqCertError


class UnknownSampleModelError(TqCertError):
    """A model name that no recipe has."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown sample model {name!r}", f"choose one of {', '.join(known)}")


class UnsupportedDtypeError(TqCertError):
    """A dtype that sample models are not written in."""

    def __init__(self, dtype: str, known: Sequence[str]) -> None:
        super().__init__(f"unsupported dtype {dtype!r}", f"choose one of {', '.join(known)}")


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
