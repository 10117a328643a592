"""Codecs by name, and codecs as plain JSON values."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tq_core.codec import Codec
from tq_core.errors import InvalidCodecError
from tq_core.mse import MseCodec
from tq_core.rotation import Rotation, rotation
from tq_core.uniform import UniformCodec

AnyCodec = Codec[Any]

CODECS: dict[str, type[AnyCodec]] = {cls.name: cls for cls in (MseCodec, UniformCodec)}


def codec_to_dict(codec: AnyCodec) -> dict[str, Any]:
    """Return the codec's name and every parameter as JSON values."""
    parameters = {f.name: getattr(codec, f.name) for f in fields(codec)}
    return {"codec": codec.name} | {
        key: {"kind": value.kind, "seed": value.seed} if isinstance(value, Rotation) else value
        for key, value in parameters.items()
    }


def codec_from_dict(parameters: Mapping[str, Any]) -> AnyCodec:
    """Return the codec that ``codec_to_dict`` described; InvalidCodecError names what does not fit."""
    rest = dict(parameters)
    name = rest.pop("codec", None)
    if name not in CODECS:
        raise InvalidCodecError(f"codec {name!r} is not known: use one of {', '.join(CODECS)}")
    known = {f.name for f in fields(CODECS[name])}
    if unknown := sorted(set(rest) - known):
        raise InvalidCodecError(f"codec {name!r} has no {unknown}: it has {sorted(known)}")
    if "rotation" in rest:
        rest["rotation"] = rotation(**rest["rotation"])
    return CODECS[name](**rest)
