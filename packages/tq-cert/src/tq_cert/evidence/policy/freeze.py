"""Makes the current edition of the policy from the contract: `python -m tq_cert.evidence.policy.freeze`.

An edition may be made anew until the release that it belongs to is published; after that a changed contract makes the
next edition, so that a bundle is always judged by the bounds that it was made for.
"""

from pathlib import Path

import tq_contract
from tq_cert.evidence.canonical import encode, sha256
from tq_cert.evidence.metrics import MEASURES
from tq_cert.evidence.policy.edition import Edition, FamilyPolicy, Gate, StagePolicy, VersionWindows
from tq_cert.evidence.policy.load import CURRENT, DIGESTS, known_editions

HERE = Path(__file__).parent


def current_edition() -> Edition:
    """The edition that follows from the packaged contract.

    Raises:
        LookupError: a metric that the contract bounds cannot be computed.
    """
    contract = tq_contract.load()
    bounded = {threshold.metric for stage in contract.certification.stages for threshold in stage.thresholds}
    if missing := bounded - {measure.metric for measure in MEASURES}:
        raise LookupError(f"tq_cert.evidence.metrics does not say how to compute {', '.join(sorted(missing))}")
    return Edition(
        schema_version=1,
        edition=CURRENT,
        release=contract.release,
        contract_sha256=tq_contract.digest(),
        windows=VersionWindows(contract.windows.python, contract.windows.mlx, contract.windows.mlx_lm),
        distributions=tuple(package.name for package in contract.packages),
        families=tuple(
            FamilyPolicy(family.name, family.model_types)
            for family in contract.families
            if family.status == "allowlisted"
        ),
        stages=tuple(_stage(stage) for stage in contract.certification.stages),
        measures=tuple(measure for measure in MEASURES if measure.metric in bounded),
    )


def write() -> None:
    """Replace the current edition and its digest in the sources."""
    content = encode(current_edition())
    (HERE / f"{CURRENT}.json").write_bytes(content)
    digests = known_editions() | {CURRENT: sha256(content)}
    lines = [f"{digest}  {name}.json\n" for name, digest in digests.items()]
    (HERE / DIGESTS).write_text("".join(lines), encoding="ascii")


def _stage(stage: tq_contract.Stage) -> StagePolicy:
    gates = (Gate(one.metric, one.families, one.preset, one.bound, one.value) for one in stage.thresholds)
    return StagePolicy(stage.name, stage.families, stage.presets, stage.artifacts, tuple(gates))


if __name__ == "__main__":
    write()
