"""Evidence: records of what was measured, a chain of them, a sealed bundle, and a verdict derived from it by anyone.

Nothing in here needs MLX. A record holds raw measurements only; a verdict is always derived (`verdict.py`).
"""

from tq_cert.evidence.canonical import digest_of
from tq_cert.evidence.manifest import Environment, Manifest, Model, Refusal, Variable, Wheel
from tq_cert.evidence.run_directory import append_stage, read_stages
from tq_cert.evidence.stage_record import Artifact, Case, Series, StageRecord, StageRun, utc_now

__all__ = [
    "Artifact",
    "Case",
    "Environment",
    "Manifest",
    "Model",
    "Refusal",
    "Series",
    "StageRecord",
    "StageRun",
    "Variable",
    "Wheel",
    "append_stage",
    "digest_of",
    "read_stages",
    "utc_now",
]
