"""TurboQuantConfig: which codec compresses keys and values, and which tokens stay dense."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, get_args

import msgspec

import tq_contract
from tq_core import Codec, InvalidCodecError, codec_from_dict, codec_to_dict
from tq_core import rotation as make_rotation
from tq_mlx.errors import ConfigError
from tq_mlx.key_bits import KeyBits, key_bits_from_dict, key_bits_to_dict

MOST_AT_ONCE = 1 << 16
"""Tokens for which a dense segment may allocate room at a time, or that may share a mean key."""

SlidingLayers = Literal["dense", "compressed"]


@dataclass(frozen=True)
class TurboQuantConfig:
    """What a compressed cache does, as values.

    Attributes:
        keys: codec of the keys.
        values: codec of the values.
        center_keys: subtract from all keys of a head their mean at the first compression, and add its score back.
        center_block: tokens that share a mean key of their own besides; None for the one mean, or without center_keys.
        sink_tokens: first tokens of the sequence that stay dense for good.
        tail_tokens: newest tokens that stay dense at least; with 0, a token is coded before it is first attended to.
        block_tokens: tokens that are coded at a time, when the tail has grown that much beyond tail_tokens.
        key_bits: rule by which each layer's key bits are chosen at the first compression, instead of those of ``keys``;
            None for the same bits on every layer.
        sliding_layers: whether sliding-window layers, which are bounded anyway, stay "dense" or are "compressed" too.
        preset: name of the contract's preset that these fields are, if they are one; no part of the fingerprint.
    """

    keys: Codec[Any]
    values: Codec[Any]
    center_keys: bool = True
    center_block: int | None = None
    sink_tokens: int = 4
    tail_tokens: int = 128
    block_tokens: int = 64
    key_bits: KeyBits | None = None
    sliding_layers: SlidingLayers = "dense"
    preset: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse values of the wrong kind and token counts out of range."""
        for name, codec in (("keys", self.keys), ("values", self.values)):
            if not isinstance(codec, Codec):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"{name} is {codec!r}: use a codec of tq_core, such as MseCodec(bits=4)")
        if type(self.center_keys) is not bool:
            raise ConfigError(f"center_keys is {self.center_keys!r}: use true or false")
        if self.center_block is not None:
            check_count("center_block", self.center_block, least=1, most=MOST_AT_ONCE)
            if not self.center_keys:  # so that configurations of one effect are equal
                object.__setattr__(self, "center_block", None)
        if self.sliding_layers not in get_args(SlidingLayers):
            raise ConfigError(f"sliding_layers is {self.sliding_layers!r}: use 'dense' or 'compressed'")
        check_count("sink_tokens", self.sink_tokens, least=0, most=MOST_AT_ONCE)
        check_count("tail_tokens", self.tail_tokens, least=0, most=sys.maxsize)
        check_count("block_tokens", self.block_tokens, least=1, most=MOST_AT_ONCE)
        if self.preset is not None and type(self.preset) is not str:
            raise ConfigError(f"preset is {self.preset!r}: use a preset's name, or None")

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Return the contract's preset of that name or alias; tq_contract.UnknownPresetError lists the known ones."""
        preset = tq_contract.load().preset(name)
        return replace(cls.from_dict(msgspec.to_builtins(preset.parameters)), preset=preset.name)

    @classmethod
    def polarquant_exp(cls, rotation: str = "random_orthogonal") -> Self:
        """Return the PolarQuant preset with another kind of rotation."""
        preset = cls.from_preset("polarquant_exp")
        keys, values = (
            replace(codec, rotation=make_rotation(rotation, codec.rotation.seed))
            for codec in (preset.keys, preset.values)
        )
        changed = replace(preset, keys=keys, values=values)
        return changed if changed == preset else replace(changed, preset=None)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the configuration that ``to_dict`` described; ConfigError names what does not fit."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ConfigError(f"unknown fields {unknown}: a configuration has {sorted(known)}")
        if missing := sorted(name for name in ("keys", "values") if data.get(name) is None):
            raise ConfigError(f"fields {missing} are missing: name a codec for keys and for values")
        parts = {name: data[name] for name in ("keys", "values", "key_bits") if data.get(name) is not None}
        if odd := [name for name, part in parts.items() if not isinstance(part, Mapping)]:
            raise ConfigError(f"fields {odd} are no objects: use those that to_dict makes")
        rest: dict[str, Any] = {name: data[name] for name in data if name not in ("keys", "values")}
        try:
            rest["key_bits"] = key_bits_from_dict(rest.get("key_bits"))
            return cls(codec_from_dict(data["keys"]), codec_from_dict(data["values"]), **rest)
        except (InvalidCodecError, TypeError) as error:
            raise ConfigError(str(error)) from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the configuration written by ``to_json``."""
        try:
            return cls.from_dict(msgspec.json.decode(text, type=dict[str, Any]))
        except msgspec.MsgspecError as error:
            raise ConfigError(f"not a configuration in JSON: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return every field as JSON values."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        codecs = {"keys": codec_to_dict(self.keys), "values": codec_to_dict(self.values)}
        return data | codecs | {"key_bits": key_bits_to_dict(self.key_bits)}

    def to_json(self) -> str:
        """Return every field as canonical JSON (sorted, no spaces)."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    def for_layers(self, norms: Sequence[float]) -> list[Self]:
        """Return each layer's own configuration, its key bits chosen by the rule from the layers' key norms.

        A codec that lacks a width gets the next smaller one that it has.
        """
        if self.key_bits is None:
            return [self] * len(norms)
        return [replace(self, keys=with_bits(self.keys, bits), key_bits=None) for bits in self.key_bits.bits(norms)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every field that has an effect: equal for equal configurations, whatever they are called."""
        return hashlib.sha256(replace(self, preset=None).to_json().encode()).hexdigest()

    @property
    def label(self) -> str:
        """The preset's name, or "custom" and the start of the fingerprint."""
        return self.preset or f"custom:{self.fingerprint[:8]}"


def check_config(config: object) -> None:
    """Raise ConfigError unless this is a configuration; a preset's name is none."""
    if not isinstance(config, TurboQuantConfig):
        how = f"TurboQuantConfig.from_preset({config!r})" if isinstance(config, str) else "a TurboQuantConfig"
        raise ConfigError(f"the configuration is {config!r}: use {how}")


def check_count(name: str, value: object, *, least: int, most: int) -> None:
    """Raise ConfigError unless a field is a whole number within the limits."""
    if type(value) is not int or not least <= value <= most:
        raise ConfigError(f"{name} is {value!r}: use a whole number from {least} to {most}")


def with_bits(codec: Codec[Any], bits: int) -> Codec[Any]:
    """Return the codec with that many bits, or the most below that it has."""
    if "bits" not in {f.name for f in fields(codec)}:
        raise ConfigError(
            f"key_bits needs a codec with a number of bits, and {codec.name} has none: use mse or uniform for the keys"
        )
    for fewer in range(bits, 0, -1):
        try:
            return replace(codec, bits=fewer)  # pyright: ignore[reportCallIssue]
        except InvalidCodecError:
            continue
    raise ConfigError(f"codec {codec.name} has no width of {bits} bits or fewer")
