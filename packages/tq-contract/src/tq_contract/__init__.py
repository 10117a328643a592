"""What TurboQuant for MLX promises, as data: presets, families, platforms, version windows, hooks.

Start at `contract.json`; `records/` says what each part of it means, `load.py` how it is read.
"""

from tq_contract import strict_json
from tq_contract.digest import digest
from tq_contract.load import load, load_bytes, loads
from tq_contract.problems import ContractError, Problem
from tq_contract.records import (
    Benchmark,
    Certification,
    CodecSpec,
    Contract,
    Deviation,
    EntryPoint,
    EvidenceRule,
    Family,
    Hook,
    KeyBitsSpec,
    KeyNoiseSpec,
    MeanBitsSpec,
    Metric,
    MseSpec,
    Parameters,
    Platform,
    PolarSpec,
    Preset,
    ProdSpec,
    Publication,
    RotationSpec,
    Stage,
    State,
    Surface,
    Threshold,
    TopkSpec,
    UniformSpec,
    Windows,
)
from tq_contract.stored_bits import codec_bits, preset_bits
from tq_contract.unknown_names import UnknownFamilyError, UnknownNameError, UnknownPresetError
from tq_contract.window import admits

__all__ = [
    "Benchmark",
    "Certification",
    "CodecSpec",
    "Contract",
    "ContractError",
    "Deviation",
    "EntryPoint",
    "EvidenceRule",
    "Family",
    "Hook",
    "KeyBitsSpec",
    "KeyNoiseSpec",
    "MeanBitsSpec",
    "Metric",
    "MseSpec",
    "Parameters",
    "Platform",
    "PolarSpec",
    "Preset",
    "Problem",
    "ProdSpec",
    "Publication",
    "RotationSpec",
    "Stage",
    "State",
    "Surface",
    "Threshold",
    "TopkSpec",
    "UniformSpec",
    "UnknownFamilyError",
    "UnknownNameError",
    "UnknownPresetError",
    "Windows",
    "admits",
    "codec_bits",
    "digest",
    "load",
    "load_bytes",
    "loads",
    "preset_bits",
    "strict_json",
]
