"""Every error that tq-cert raises on purpose: what is wrong, what to do about it, and the exit code.

Exit codes of the command line: 0 good, 1 findings, 2 usage or input/output, 3 refused.
"""

from collections.abc import Sequence
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


class UnknownModelError(TqCertError):
    """What `--model` names is neither a sample model nor a directory that mlx-lm can load."""

    def __init__(self, value: str, problem: str, known: Sequence[str]) -> None:
        super().__init__(
            f"model {value!r}: {problem}",
            f"name a sample model ({', '.join(known)}) or a directory with config.json and *.safetensors",
        )


class UnknownMethodError(TqCertError):
    """A measured method that cannot be understood."""

    def __init__(self, method: str, problem: str) -> None:
        super().__init__(
            f"method {method!r}: {problem}",
            "use dense, mlx:kvB or mlx:kvBgG (B bits, groups of G), preset:NAME or config:FILE, with commas between",
        )


class UnservedMethodError(TqCertError):
    """A method that this model's shapes or this runtime do not allow."""

    exit_code = EXIT_REFUSED

    def __init__(self, method: str, problem: str, remedy: str) -> None:
        super().__init__(f"method {method!r}: {problem}", remedy)


class SlidingWindowError(TqCertError):
    """Plain caches on sliding-window layers, and more tokens than a window holds."""

    exit_code = EXIT_REFUSED

    def __init__(self, context: int, window: int) -> None:
        super().__init__(
            f"--layers all stores every token of every layer, but with --context {context} the model's "
            f"sliding-window layers would keep only {window}",
            f"use --context {window} or less, or --layers default",
        )


class RuntimeRefusalError(TqCertError):
    """The MLX runtime refused a configuration, a model or a version."""

    exit_code = EXIT_REFUSED

    def __init__(self, cause: Exception) -> None:
        super().__init__(
            str(cause),
            "choose what the message allows",
        )


class MeasurementProcessError(TqCertError):
    """A measurement that runs in a process of its own failed there."""

    def __init__(self, method: str, status: int, output: str) -> None:
        cause = f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"
        super().__init__(
            f"method {method!r}: its process {cause}: {output or 'no message'}",
            "choose what the message allows; a killed process ran out of memory: use a smaller --context or --chunk",
        )


class TextTooShortError(TqCertError):
    """Fewer tokens than the windows need."""

    def __init__(self, name: str, tokens: int, needed: int) -> None:
        super().__init__(
            f"the text {name} has {tokens} tokens; the windows need {needed}",
            "give a longer text, or fewer or shorter windows (--windows, --context)",
        )


class CodesNotReadError(TqCertError):
    """A compressed method whose compressed form cannot have been used."""

    exit_code = EXIT_FINDINGS

    def __init__(self, method: str, problem: str) -> None:
        super().__init__(
            f"method {method!r}: {problem}, so the codes were not read",
            "lengthen --context beyond the method's dense tail or use --mode stress; if that is so already, "
            "the compressed path is broken",
        )


class NonFiniteDivergenceError(TqCertError):
    """Logits with NaN or Inf."""

    exit_code = EXIT_FINDINGS

    def __init__(self, method: str, position: int) -> None:
        super().__init__(
            f"method {method!r}: its logits differ from the dense ones by NaN or Inf at position {position}",
            "run the model in bfloat16 or float32; if it is in one of these already, the method is broken",
        )


class FileAccessError(TqCertError):
    """A file named on the command line could not be read or written."""

    def __init__(self, path: str, cause: Exception) -> None:
        super().__init__(f"cannot use the file {path}: {cause}", "check the path and its permissions")


class OptionError(TqCertError):
    """A value of an option that makes no sense, alone or with the others."""

    def __init__(self, option: str, problem: str, remedy: str) -> None:
        super().__init__(f"{option}: {problem}", remedy)
