"""What a run has decided before its first stage: kept in its directory, and held against when it is resumed."""

from pathlib import Path

import msgspec

import tq_contract
from tq_cert.errors import FileAccessError, TqCertError
from tq_cert.evidence import Environment, Manifest, Model, Refusal, Wheel, utc_now
from tq_cert.evidence.policy.load import CURRENT, load_edition
from tq_cert.evidence.refusals import refusals_of
from tq_cert.files import write_whole
from tq_cert.inspection.scope import ModelSource
from tq_cert.stages.sizes import Sizes

PLAN = "plan.json"


class RunMismatchError(TqCertError):
    """A directory holds a run of other things than those that are to be run now."""

    def __init__(self, directory: str, differences: list[str]) -> None:
        super().__init__(
            f"the run in {directory} was begun with another {', '.join(differences)}",
            "give --out another directory, or go on under the conditions that it was begun in",
        )


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts of a run.

    Attributes:
        created: UTC, when the run began.
        contract_sha256: of the contract that it goes by.
        commit: of the sources, or None.
        lock_sha256: of uv.lock, or None.
        wheels: that are installed.
        families: in scope.
        sources: where their models are.
        models: what they are.
        sizes: how much is measured.
        environment: machine and software.
    """

    created: str
    contract_sha256: str
    commit: str | None
    lock_sha256: str | None
    wheels: tuple[Wheel, ...]
    families: tuple[str, ...]
    sources: tuple[ModelSource, ...]
    models: tuple[Model, ...]
    sizes: Sizes
    environment: Environment

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Every reason why the run cannot certify."""
        return refusals_of(self.environment, self.wheels, self.models, load_edition(CURRENT))

    def manifest(self) -> Manifest:
        """The manifest of the run when its last stage is done."""
        return Manifest(
            schema_version=1,
            release=tq_contract.load().release,
            policy=CURRENT,
            contract_sha256=self.contract_sha256,
            created=self.created,
            sealed=utc_now(),
            commit=self.commit,
            lock_sha256=self.lock_sha256,
            wheels=self.wheels,
            families=self.families,
            models=self.models,
            environment=self.environment,
            refusals=self.refusals,
        )


def begin_or_resume(directory: Path, plan: Plan) -> Plan:
    """The plan of the run in the directory: the one that is there, which has to agree, or this one.

    Raises:
        RunMismatchError: a run of something else is there.
        FileAccessError: the directory cannot be read or written.
    """
    path = directory / PLAN
    try:
        there = msgspec.json.decode(path.read_bytes(), type=Plan) if path.exists() else None
    except (OSError, msgspec.DecodeError) as error:
        raise FileAccessError(str(path), error) from error
    if there is None:
        write_whole(path, msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")
        return plan
    fields = (name for name in Plan.__struct_fields__ if name != "created")
    differences = [name for name in fields if getattr(there, name) != getattr(plan, name)]
    if differences:
        raise RunMismatchError(str(directory), differences)
    return there
