"""What goes wrong while evidence is written; what is wrong with a finished bundle is in `faults.py`."""

from collections.abc import Sequence

from tq_cert.errors import EXIT_FINDINGS, TqCertError


class InvalidRecordError(TqCertError):
    """A record that does not fit its own description, such as a sample that is not finite."""

    def __init__(self, what: str, problems: Sequence[str]) -> None:
        super().__init__(f"{what}: {'; '.join(problems)}", "correct what fills the record in")


class StageOrderError(TqCertError):
    """A stage that is in the chain already."""

    def __init__(self, stage: str, directory: str) -> None:
        super().__init__(
            f"stage {stage!r} is recorded in {directory} already",
            "records are final: start a new run in a new directory",
        )


class DamagedRunError(TqCertError):
    """A run's directory no longer holds the records that its chain names."""

    exit_code = EXIT_FINDINGS

    def __init__(self, file: str, problem: str) -> None:
        super().__init__(f"{file}: {problem}", "the run cannot be resumed: start a new one in a new directory")


class BundleExistsError(TqCertError):
    """A bundle would be written over something."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} exists already", "a bundle is never written over: give another path, or remove that one"
        )


class UnsealableRunError(TqCertError):
    """A run whose bundle would not verify."""

    exit_code = EXIT_FINDINGS

    def __init__(self, run: str, faults: Sequence[str]) -> None:
        super().__init__(
            f"the run in {run} cannot be sealed: its bundle would have faults\n" + "\n".join(faults),
            "correct what wrote the manifest or the records, and run again",
        )
