"""Presets: named sets of parameters, and what may be claimed of them."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from tq_contract.records.codecs import CodecSpec
from tq_contract.records.fields import Name, Record, Text

Tokens: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
BlockLength: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Classification: TypeAlias = Literal["paper-facing", "supported", "compatibility-only", "research-only"]


class MeanBitsSpec(Record, frozen=True, tag_field="kind", tag="mean"):
    """Equal-noise key bits within a budget: their mean over the layers."""

    mean: Annotated[float, Meta(ge=2, le=8)]


class KeyNoiseSpec(Record, frozen=True, tag_field="kind", tag="noise"):
    """Equal-noise key bits by a target: the root mean square error of a key."""

    error: Annotated[float, Meta(ge=1e-6, le=1e6)]


KeyBitsSpec: TypeAlias = MeanBitsSpec | KeyNoiseSpec


class Parameters(Record, frozen=True):
    """Everything that a preset fixes."""

    keys: CodecSpec
    values: CodecSpec
    center_keys: bool
    center_block: BlockLength | None
    sink_tokens: Tokens
    tail_tokens: Tokens
    block_tokens: BlockLength
    key_bits: KeyBitsSpec | None
    sliding_layers: Literal["dense", "compressed"]


class Preset(Record, frozen=True):
    """A named set of parameters and what may be claimed of it."""

    name: Name
    classification: Classification
    aliases: tuple[Name, ...]
    summary: Text
    parameters: Parameters
