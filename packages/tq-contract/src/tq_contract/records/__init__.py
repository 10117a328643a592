"""The contract's records: every field of `contract.json`, its type and its range.

The records are the only description of the file's shape. The strict loader walks them
(`conform.py`) and the published JSON Schema is generated from them (`schema.py`). What no single
field can say, such as "names are unique", is in `rules.py` and `references.py`.
"""

from tq_contract.records.certification import Bound, Certification, Metric, Stage, Threshold
from tq_contract.records.checkout import Job, Package, Workflow
from tq_contract.records.codecs import (
    CodecSpec,
    MseSpec,
    PolarSpec,
    ProdSpec,
    RotationSpec,
    TopkSpec,
    UniformSpec,
)
from tq_contract.records.contract import Contract
from tq_contract.records.deviations import Deviation
from tq_contract.records.evidence import Benchmark, EvidenceRule, Publication
from tq_contract.records.families import Family
from tq_contract.records.presets import (
    Classification,
    KeyBitsSpec,
    KeyNoiseSpec,
    MeanBitsSpec,
    Parameters,
    Preset,
)
from tq_contract.records.runtime import EntryPoint, Hook, Platform, State, Surface, Windows

__all__ = [
    "Benchmark",
    "Bound",
    "Certification",
    "Classification",
    "CodecSpec",
    "Contract",
    "Deviation",
    "EntryPoint",
    "EvidenceRule",
    "Family",
    "Hook",
    "Job",
    "KeyBitsSpec",
    "KeyNoiseSpec",
    "MeanBitsSpec",
    "Metric",
    "MseSpec",
    "Package",
    "Parameters",
    "Platform",
    "PolarSpec",
    "Preset",
    "ProdSpec",
    "Publication",
    "RotationSpec",
    "Stage",
    "State",
    "Surface",
    "Threshold",
    "TopkSpec",
    "UniformSpec",
    "Windows",
    "Workflow",
]
