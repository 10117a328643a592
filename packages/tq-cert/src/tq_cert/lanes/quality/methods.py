"""What is compared: each method by name, as values that need no MLX."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

import tq_contract
from tq_cert.errors import FileAccessError, OptionError
from tq_cert.lanes.errors import UnknownMethodError

MLX_BITS = (2, 3, 4, 5, 6, 8)
MLX_GROUPS = (32, 64, 128)
DEFAULT_GROUP = 64

DENSE = "dense"
BASELINE = "mlx:kv4"
"""What ours are held against: mlx-lm's own cache of 4 bits."""


@dataclass(frozen=True)
class Dense:
    """mlx-lm's own cache: the dense run a second time, which must agree with the first."""

    name: str = DENSE

    @property
    def parameters(self) -> dict[str, Any] | None:
        """What the report says of it."""
        return None


@dataclass(frozen=True)
class MlxQuantized:
    """mlx-lm's own quantized cache."""

    name: str
    bits: int
    group_size: int

    @property
    def parameters(self) -> dict[str, Any] | None:
        """What the report says of it."""
        return {"bits": self.bits, "group_size": self.group_size}


@dataclass(frozen=True)
class TurboQuant:
    """Our cache with the parameters of a TurboQuantConfig as JSON values."""

    name: str
    parameters: Mapping[str, Any]


Method = Dense | MlxQuantized | TurboQuant


def parse_methods(text: str) -> tuple[Method, ...]:
    """The methods of a list with commas between.

    Raises:
        UnknownMethodError: one of them cannot be understood, or comes twice.
        FileAccessError: a configuration file cannot be read.
    """
    methods = tuple(parse_method(part.strip()) for part in text.split(",") if part.strip())
    if not methods:
        raise OptionError("--methods", "the list is empty", "name at least one method, for example mlx:kv4")
    names = [method.name for method in methods]
    for name in names:
        if names.count(name) > 1:
            raise UnknownMethodError(name, "it comes twice")
    return methods


def parse_method(name: str) -> Method:
    """The method of this name; see `parse_methods`."""
    kind, colon, rest = name.partition(":")
    match kind:
        case "dense" if not colon:
            return Dense()
        case "mlx":
            return mlx_quantized(name, rest)
        case "preset":
            return preset(name, rest)
        case "config":
            return config_file(name, Path(rest))
        case _:
            raise UnknownMethodError(name, "no such kind of method")


def default_methods() -> str:
    """The dense run, mlx-lm's own two and every preset of the contract."""
    presets = [f"preset:{preset.name}" for preset in tq_contract.load().presets]
    return ",".join([DENSE, "mlx:kv8", BASELINE, *presets])


def mlx_quantized(name: str, rest: str) -> MlxQuantized:
    found = re.fullmatch(r"kv(\d+)(?:g(\d+))?", rest)
    if found is None:
        raise UnknownMethodError(name, "mlx-lm's caches are called mlx:kv4 or mlx:kv4g32")
    bits, group = int(found[1]), int(found[2] or DEFAULT_GROUP)
    for value, allowed, what in ((bits, MLX_BITS, "bits"), (group, MLX_GROUPS, "values to a group")):
        if value not in allowed:
            raise UnknownMethodError(name, f"MLX does not quantize to {value} {what}, only to {allowed}")
    return MlxQuantized(name, bits, group)


def preset(name: str, rest: str) -> TurboQuant:
    try:
        found = tq_contract.load().preset(rest)
    except tq_contract.UnknownPresetError as error:
        raise UnknownMethodError(name, str(error)) from error
    return TurboQuant(name, {**msgspec.to_builtins(found.parameters), "preset": found.name})


def config_file(name: str, path: Path) -> TurboQuant:
    """The configuration in a file, called by the file's name alone: a report names no directories."""
    try:
        parameters = json.loads(path.read_bytes())
    except OSError as error:
        raise FileAccessError(str(path), error) from error
    except ValueError as error:
        raise UnknownMethodError(name, f"the file holds no JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise UnknownMethodError(name, "the file holds no JSON object")
    return TurboQuant(f"config:{path.name}", msgspec.convert(parameters, dict[str, Any]))


def names_of(methods: Sequence[Method]) -> tuple[str, ...]:
    """The names, in order."""
    return tuple(method.name for method in methods)
