"""What a run has to know before its first stage, found with MLX in a process of its own.

Run as a module, it reads the models' sources from standard input and prints a Survey.
"""

import sys

import msgspec

from tq_cert.errors import TqCertError
from tq_cert.evidence import Environment, Model
from tq_cert.inspection.scope import ModelSource, variable
from tq_cert.process import ask, in_words

PROGRAM = (sys.executable, "-m", "tq_cert.inspection.survey_process")


class SurveyFailedError(TqCertError):
    """The process that looks at the machine and loads the models failed."""

    def __init__(self, sources: tuple[ModelSource, ...], status: int, output: str) -> None:
        models = ", ".join(source.sample or source.directory for source in sources)
        super().__init__(
            f"the process that loads {models} before the first stage {in_words(status)}: {output or 'it said nothing'}",
            f"mend what it says; {', '.join(variable(source.family) for source in sources)} choose other models",
        )


class Survey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machine, and the models in scope."""

    environment: Environment
    models: tuple[Model, ...]


def survey(sources: tuple[ModelSource, ...]) -> Survey:
    """The machine and the models, as a process with MLX finds them.

    Raises:
        SurveyFailedError: a model cannot be loaded, or the process died.
    """
    ended = ask(PROGRAM, sources)
    if ended.status:
        raise SurveyFailedError(sources, ended.status, ended.message)
    return msgspec.json.decode(ended.answer, type=Survey)


def looked_at(sources: tuple[ModelSource, ...]) -> Survey:
    """Look at the machine and load every model once; imports MLX."""
    from tq_cert.inspection.environment import find_environment

    return Survey(find_environment(), tuple(described(source) for source in sources))


def described(source: ModelSource) -> Model:
    """What the manifest says of a model."""
    from tq_cert.lanes.models import load_model
    from tq_cert.progress import Silent

    info = load_model(source.sample or source.directory, Silent()).info
    return Model(
        family=source.family,
        name=info.name,
        model_type=info.model_type,
        sample=source.sample is not None,
        revision=source.revision,
        weights_sha256=info.weights_sha256,
        config_sha256=info.config_sha256,
        dtype=info.dtype,
    )


if __name__ == "__main__":
    try:
        found = looked_at(msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[ModelSource, ...]))
    except TqCertError as error:
        print(error.message, file=sys.stderr)
        sys.exit(error.exit_code)
    sys.stdout.buffer.write(msgspec.json.encode(found))
