"""manifest.json: what was certified, on what, with which models, and for which reasons it may not count."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from tq_cert.evidence.fields import (
    END,
    Commit,
    Count,
    EditionName,
    EvidenceRecord,
    Name,
    SchemaVersion,
    Sha256,
    Text,
    Time,
)

RefusalCode: TypeAlias = Literal[
    "not_apple_silicon",
    "virtual_gpu",
    "rosetta",
    "editable_install",
    "missing_wheels",
    "dirty_tree",
    "outside_window",
    "unpinned_weights",
    "overriding_environment",
]


class Wheel(EvidenceRecord, frozen=True):
    """A wheel that was installed, and that the statement is about.

    Attributes:
        distribution: tq-core, tq-contract, tq-mlx or tq-cert.
        version: of it.
        file: name of the wheel.
        sha256: of the wheel.
    """

    distribution: Text
    version: Text
    file: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.+-]+\.whl" + END)]
    sha256: Sha256


class Model(EvidenceRecord, frozen=True):
    """A model that stages ran.

    Attributes:
        family: of the contract.
        name: its title, or its directory's name.
        model_type: mlx-lm's name of the architecture.
        sample: whether it is one of the project's sample models.
        revision: commit of the hub that the weights come from; None for a sample model (its recipe pins the
            weights) and where it is not known, which is a refusal.
        weights_sha256: of the weights file, or of the list of files and digests where there are several.
        config_sha256: of config.json.
        dtype: of keys and values.
    """

    family: Name
    name: Text
    model_type: Text
    sample: bool
    revision: Commit | None
    weights_sha256: Sha256
    config_sha256: Sha256
    dtype: Text


class Variable(EvidenceRecord, frozen=True):
    """An environment variable that changes what the stages do."""

    name: Text
    value: str


class Environment(EvidenceRecord, frozen=True):
    """The machine and the installed software, as they stayed during the whole run: nothing in here changes by itself.

    Attributes:
        system: `platform.system()`.
        system_version: of macOS, or of the C library on Linux.
        machine: `platform.machine()`.
        python: version.
        mlx: version.
        mlx_lm: version.
        backend: of MLX's default device.
        device: MLX's name of it.
        hardware: the machine's model, such as Mac15,9.
        memory_bytes: of the machine.
        virtual_gpu: whether the machine or its GPU was found to be virtual.
        rosetta: whether the process runs translated.
        editable: distributions of ours that are installed as links to a checkout.
        dirty: whether the checkout differs from its commit; None where there is no checkout.
        sources_sha256: of the code and data of our packages, as installed.
        overrides: variables that are set and change what the stages do.
    """

    system: Text
    system_version: Text
    machine: Text
    python: Text
    mlx: Text
    mlx_lm: Text
    backend: Literal["metal", "cuda", "cpu"]
    device: Text
    hardware: Text
    memory_bytes: Count
    virtual_gpu: bool
    rosetta: bool
    editable: tuple[Text, ...]
    dirty: bool | None
    sources_sha256: Sha256
    overrides: tuple[Variable, ...]


class Refusal(EvidenceRecord, frozen=True):
    """A reason why the run cannot certify, and what it was found on."""

    code: RefusalCode
    detail: Text


class Manifest(EvidenceRecord, frozen=True):
    """Everything about a run but its measurements.

    Attributes:
        schema_version: of this record.
        release: of the packages.
        policy: edition by which the verdict is derived.
        contract_sha256: of the contract that the stages ran by.
        created: UTC, when the run began.
        sealed: UTC, when the last stage was done and this was written.
        commit: of the sources, or None where it is not known.
        lock_sha256: of uv.lock, or None outside a checkout.
        wheels: that were installed; empty for a checkout.
        families: in scope.
        models: one for every family in scope.
        environment: machine and software.
        refusals: every reason why this run cannot certify.
    """

    schema_version: SchemaVersion
    release: Text
    policy: EditionName
    contract_sha256: Sha256
    created: Time
    sealed: Time
    commit: Commit | None
    lock_sha256: Sha256 | None
    wheels: tuple[Wheel, ...]
    families: Annotated[tuple[Name, ...], Meta(min_length=1)]
    models: tuple[Model, ...]
    environment: Environment
    refusals: tuple[Refusal, ...]
