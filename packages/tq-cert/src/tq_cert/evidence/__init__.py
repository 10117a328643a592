"""Evidence: records of what was measured, a chain of them, a sealed bundle, and a verdict derived from it by anyone.

Nothing in here needs MLX. A record holds raw measurements only; a verdict is always derived (`verdict.py`).

    stage's process → StageRun → append_stage → chain on disk → seal → bundle → pack → zip → verify
"""

from tq_cert.evidence.archive import pack
from tq_cert.evidence.bundle import seal
from tq_cert.evidence.canonical import digest_of
from tq_cert.evidence.manifest import Environment, Manifest, Model, Refusal, Variable, Wheel
from tq_cert.evidence.policy.load import CURRENT, load_edition
from tq_cert.evidence.refusals import is_rehearsal, refusals_of
from tq_cert.evidence.run_directory import append_stage, read_stages
from tq_cert.evidence.signing import load_signer
from tq_cert.evidence.stage_record import Artifact, Case, Series, StageRecord, StageRun, utc_now
from tq_cert.evidence.verdict import Verdict, derive, derive_stage
from tq_cert.evidence.verification.report import Report
from tq_cert.evidence.verification.verify import verify

__all__ = [
    "CURRENT",
    "Artifact",
    "Case",
    "Environment",
    "Manifest",
    "Model",
    "Refusal",
    "Report",
    "Series",
    "StageRecord",
    "StageRun",
    "Variable",
    "Verdict",
    "Wheel",
    "append_stage",
    "derive",
    "derive_stage",
    "digest_of",
    "is_rehearsal",
    "load_edition",
    "load_signer",
    "pack",
    "read_stages",
    "refusals_of",
    "seal",
    "utc_now",
    "verify",
]
