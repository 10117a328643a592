"""What TurboQuant for MLX promises, as data: presets, families, platforms, version windows, hooks.

Start at `contract.json`; `records.py` says what each part of it means, `load.py` how it is read.
"""

from tq_contract.checkout_records import Job, Package, Workflow
from tq_contract.load import load, load_bytes, loads
from tq_contract.problems import ContractError, Problem
from tq_contract.records import (
    CodecSpec,
    Contract,
    Family,
    Hook,
    KeyBitsSpec,
    KeyNoiseSpec,
    MeanBitsSpec,
    MseSpec,
    Parameters,
    Platform,
    PolarSpec,
    Preset,
    ProdSpec,
    RotationSpec,
    State,
    TopkSpec,
    UniformSpec,
    Windows,
)
from tq_contract.unknown_names import UnknownFamilyError, UnknownNameError, UnknownPresetError
from tq_contract.window import admits

__all__ = [
    "CodecSpec",
    "Contract",
    "ContractError",
    "Family",
    "Hook",
    "Job",
    "KeyBitsSpec",
    "KeyNoiseSpec",
    "MeanBitsSpec",
    "MseSpec",
    "Package",
    "Parameters",
    "Platform",
    "PolarSpec",
    "Preset",
    "Problem",
    "ProdSpec",
    "RotationSpec",
    "State",
    "TopkSpec",
    "UniformSpec",
    "UnknownFamilyError",
    "UnknownNameError",
    "UnknownPresetError",
    "Windows",
    "Workflow",
    "admits",
    "load",
    "load_bytes",
    "loads",
]
