"""Codecs by name, and codecs as plain JSON values."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

from tq_core.codec import Codec
from tq_core.errors import InvalidCodecError
from tq_core.mse import MseCodec
from tq_core.polar import PolarCodec
from tq_core.prod import ProdCodec
from tq_core.rotation import Rotation, rotation
from tq_core.topk import TopkCodec
from tq_core.uniform import UniformCodec

AnyCodec = Codec[Any]

CODECS: dict[str, type[AnyCodec]] = {
    cls.name: cls for cls in (MseCodec, UniformCodec, ProdCodec, PolarCodec, TopkCodec)
}

T = TypeVar("T", bound=type[AnyCodec])


def register_codec(cls: T) -> T:
    """Make a codec of your own known by its ``name``; a class decorator.

    Caches compress with any codec; one that is known survives ``to_json``, files and every other way by which a
    configuration comes back as text. A class defined again in the same place, as in a notebook, replaces itself.

    Raises:
        InvalidCodecError: this is no codec class with a name, or another codec has the name.
    """
    name = getattr(cls, "name", None)
    if not (isinstance(cls, type) and issubclass(cls, Codec)) or not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidCodecError(f"{cls!r} is no codec: derive a class from Codec and give it a name")
    known = CODECS.get(name, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise InvalidCodecError(f"the name {name!r} belongs to {known.__qualname__}: choose another")
    CODECS[name] = cls
    return cls


def codec_to_dict(codec: AnyCodec) -> dict[str, Any]:
    """Return the codec's name and every parameter as JSON values."""
    return {"codec": codec.name} | {f.name: to_json(getattr(codec, f.name)) for f in fields(codec)}


def to_json(parameter: Any) -> Any:
    if isinstance(parameter, Rotation):
        return {"kind": parameter.kind, "seed": parameter.seed}
    return list(cast("tuple[Any, ...]", parameter)) if isinstance(parameter, tuple) else parameter


def codec_from_dict(parameters: Mapping[str, Any]) -> AnyCodec:
    """Return the codec that ``codec_to_dict`` described; InvalidCodecError names what does not fit."""
    rest = dict(parameters)
    name = rest.pop("codec", None)
    if not isinstance(name, str) or name not in CODECS:
        raise InvalidCodecError(f"codec {name!r} is not known: use one of {', '.join(CODECS)}")
    known = {f.name for f in fields(CODECS[name])}
    if unknown := sorted(set(rest) - known):
        raise InvalidCodecError(f"codec {name!r} has no {unknown}: it has {sorted(known)}")
    if "rotation" in rest:
        rest["rotation"] = rotation_from(rest["rotation"])
    return CODECS[name](**{key: from_json(value) for key, value in rest.items()})


def rotation_from(value: Any) -> Rotation:
    try:
        return rotation(**value)
    except TypeError as error:
        raise InvalidCodecError(f"rotation is {value!r}: use an object with kind and seed") from error


def from_json(value: Any) -> Any:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value
