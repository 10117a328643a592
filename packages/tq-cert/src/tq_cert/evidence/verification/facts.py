"""Whether the manifest is about what the edition of the policy judges, and agrees with itself."""

from collections import Counter
from collections.abc import Iterator

from tq_cert.evidence.manifest import Manifest, Wheel
from tq_cert.evidence.paths import MANIFEST
from tq_cert.evidence.policy.edition import Edition
from tq_cert.evidence.policy.load import known_editions, load_edition
from tq_cert.evidence.refusals import refusals_of
from tq_cert.evidence.verification import faults
from tq_cert.evidence.verification.faults import Fault, reject


def edition_of(manifest: Manifest) -> Edition:
    """The edition of the policy that the manifest names.

    Raises:
        RejectedError: this package does not carry it.
        DamagedEditionError: its file is not the one that was frozen.
    """
    if manifest.policy not in known_editions():
        known = ", ".join(known_editions())
        reject(faults.UNKNOWN_EDITION.of(MANIFEST, f"names the policy {manifest.policy}; this tq-cert carries {known}"))
    return load_edition(manifest.policy)


def wrong_facts(manifest: Manifest, edition: Edition) -> Iterator[Fault]:
    """Everything in the manifest that cannot be so."""
    if manifest.contract_sha256 != edition.contract_sha256:
        message = (
            f"the run went by the contract {manifest.contract_sha256}, {edition.edition} by {edition.contract_sha256}"
        )
        yield faults.STALE_CONTRACT.of(MANIFEST, message)
    if manifest.release != edition.release:
        yield faults.OTHER_RELEASE.of(
            MANIFEST, f"is of release {manifest.release}, {edition.edition} of {edition.release}"
        )
    if manifest.sealed < manifest.created:
        yield faults.WRONG_CLOCK.of(
            MANIFEST, f"was sealed at {manifest.sealed}, before the run began at {manifest.created}"
        )
    yield from _wheels(manifest, edition)
    yield from _families(manifest, edition)
    derived = refusals_of(manifest.environment, manifest.wheels, manifest.models, edition)
    stated, due = ([one.code for one in refusals] for refusals in (manifest.refusals, derived))
    if stated != due:
        listed = [", ".join(codes) or "none" for codes in (stated, due)]
        yield faults.WRONG_REFUSALS.of(MANIFEST, f"states the refusals {listed[0]}; its own facts give {listed[1]}")


def _wheels(manifest: Manifest, edition: Edition) -> Iterator[Fault]:
    for wheel in manifest.wheels:
        if wheel.distribution not in edition.distributions:
            known = ", ".join(edition.distributions)
            yield faults.WRONG_WHEEL.of(MANIFEST, f"{wheel.distribution} is none of {known}")
        elif wheel.file != _file_name(wheel):
            yield faults.WRONG_WHEEL.of(MANIFEST, f"the wheel of {wheel.distribution} is called {wheel.file}")
    for name, times in Counter(wheel.distribution for wheel in manifest.wheels).items():
        if times > 1:
            yield faults.WRONG_WHEEL.of(MANIFEST, f"{name} is there {times} times")


def _file_name(wheel: Wheel) -> str:
    """What every wheel of this project is called."""
    return f"{wheel.distribution.replace('-', '_')}-{wheel.version}-py3-none-any.whl"


def _families(manifest: Manifest, edition: Edition) -> Iterator[Fault]:
    allowed = {family.name: family.model_types for family in edition.families}
    for name, times in Counter(manifest.families).items():
        if name not in allowed or times > 1:
            yield faults.UNKNOWN_FAMILY.of(MANIFEST, f"{name} is not in scope once, as one of {', '.join(allowed)}")
    for name, times in Counter([*manifest.families, *(model.family for model in manifest.models)]).items():
        if times != 2:
            yield faults.WRONG_MODEL.of(MANIFEST, f"there is not just one model for the family {name}")
    for model in manifest.models:
        if model.family in allowed and model.model_type not in allowed[model.family]:
            yield faults.WRONG_MODEL.of(MANIFEST, f"a {model.model_type} model stands for the family {model.family}")
