"""What a lane cannot measure, or may not report."""

from collections.abc import Sequence

from tq_cert.errors import EXIT_FINDINGS, EXIT_REFUSED, TqCertError
from tq_cert.process import in_words


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
        super().__init__(
            f"method {method!r}: its process {in_words(status)}: {output or 'no message'}",
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
