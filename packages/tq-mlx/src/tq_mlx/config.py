"""TurboQuantConfig: which codec compresses keys and values, and which tokens stay dense."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import msgspec

import tq_contract
from tq_core import Codec, InvalidCodecError, codec_from_dict, codec_to_dict
from tq_mlx.errors import ConfigError


@dataclass(frozen=True)
class TurboQuantConfig:
    """What a compressed cache does, as values.

    Attributes:
        keys: codec of the keys.
        values: codec of the values.
        center_keys: subtract from all keys of a head their mean at the first compression, and add its score back.
        sink_tokens: first tokens of the sequence that stay dense for good.
        tail_tokens: newest tokens that stay dense at least; with 0, a token is coded before it is first attended to.
        block_tokens: tokens that are coded at a time, when the tail has grown that much beyond tail_tokens.
        preset: name of the contract's preset that these fields are, if they are one; no part of the fingerprint.
    """

    keys: Codec[Any]
    values: Codec[Any]
    center_keys: bool = True
    sink_tokens: int = 4
    tail_tokens: int = 128
    block_tokens: int = 64
    preset: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse token counts out of range."""
        for name, least in (("sink_tokens", 0), ("tail_tokens", 0), ("block_tokens", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}: use {least} or more")

    @classmethod
    def from_preset(cls, name: str) -> Self:
        """Return the contract's preset of that name or alias; tq_contract.UnknownPresetError lists the known ones."""
        preset = tq_contract.load().preset(name)
        return replace(cls.from_dict(msgspec.to_builtins(preset.parameters)), preset=preset.name)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the configuration that ``to_dict`` described; ConfigError names what does not fit."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ConfigError(f"unknown fields {unknown}: a configuration has {sorted(known)}")
        if missing := sorted({"keys", "values"} - set(data)):
            raise ConfigError(f"fields {missing} are missing: name a codec for keys and for values")
        try:
            codecs = {side: codec_from_dict(data[side]) for side in ("keys", "values")}
        except (InvalidCodecError, TypeError) as error:
            raise ConfigError(str(error)) from error
        return cls(**(dict(data) | codecs))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the configuration written by ``to_json``."""
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ConfigError(f"a configuration is a JSON object, not {type(data).__name__}")
        return cls.from_dict(data)

    def to_dict(self) -> dict[str, Any]:
        """Return every field as JSON values."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        return data | {"keys": codec_to_dict(self.keys), "values": codec_to_dict(self.values)}

    def to_json(self) -> str:
        """Return every field as canonical JSON (sorted, no spaces)."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every field that has an effect: equal for equal configurations, whatever they are called."""
        return hashlib.sha256(replace(self, preset=None).to_json().encode()).hexdigest()

    @property
    def label(self) -> str:
        """The preset's name, or "custom" and the start of the fingerprint."""
        return self.preset or f"custom:{self.fingerprint[:8]}"
