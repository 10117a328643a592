"""What a run has to know before its first stage, found with MLX in a process of its own.

Run as a module, it reads the models' sources from standard input and prints a Survey.
"""

import sys

import msgspec

from tq_cert.certification.scope import ModelSource
from tq_cert.evidence import Environment, Model


class Survey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machine, and the models in scope."""

    environment: Environment
    models: tuple[Model, ...]


def survey(sources: tuple[ModelSource, ...]) -> Survey:
    """Look at the machine and load every model once."""
    from tq_cert.certification import environment  # loads MLX

    return Survey(environment.survey(), tuple(described(source) for source in sources))


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
    found = survey(msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[ModelSource, ...]))
    sys.stdout.buffer.write(msgspec.json.encode(found))
