"""Codecs: how a vector becomes codes, with every parameter."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from tq_contract.records.fields import Record, Seed

Bits: TypeAlias = Annotated[int, Meta(ge=1, le=8)]
SketchRows: TypeAlias = Annotated[int, Meta(ge=1, le=65536)]
GainGroup: TypeAlias = Annotated[int, Meta(ge=1, le=1024)]
Gain: TypeAlias = Literal["norm", "least_squares", "norm_preserving"]
Radius: TypeAlias = Literal["norm", "least_squares"]


class RotationSpec(Record, frozen=True):
    """The orthogonal map applied before quantizing."""

    kind: Literal["hadamard", "random_orthogonal", "identity"]
    seed: Seed


class MseSpec(Record, frozen=True, tag_field="codec", tag="mse"):
    """TurboQuant_mse: each rotated coordinate rounded to the Lloyd-Max codebook."""

    bits: Bits
    gain: Gain
    scale_search: bool
    gain_group: GainGroup | None
    rotation: RotationSpec


class UniformSpec(Record, frozen=True, tag_field="codec", tag="uniform"):
    """An evenly spaced grid in MLX's own affine layout, at the bit widths MLX has."""

    bits: Literal[2, 3, 4, 5, 6, 8]
    gain: Gain
    scale_search: bool
    gain_group: GainGroup | None
    rotation: RotationSpec


class ProdSpec(Record, frozen=True, tag_field="codec", tag="prod"):
    """TurboQuant_prod: Lloyd-Max codes of one bit less, and a one-bit sketch of the residual."""

    bits: Bits
    sketch_rows: SketchRows | None
    sketch_seed: Seed
    rotation: RotationSpec


class PolarSpec(Record, frozen=True, tag_field="codec", tag="polar"):
    """PolarQuant: the angles of a recursive polar transform, level by level, and a radius per block."""

    level_bits: Annotated[tuple[Bits, ...], Meta(min_length=1)]
    gain: Radius
    rotation: RotationSpec


class TopkSpec(Record, frozen=True, tag_field="codec", tag="topk"):
    """Group-wise affine codes with the largest residuals of each group kept; for historical configurations."""

    bits: Bits
    group_size: Annotated[int, Meta(ge=2, le=256)]
    k: Annotated[int, Meta(ge=1, le=256)]
    rotation: RotationSpec


CodecSpec: TypeAlias = MseSpec | UniformSpec | ProdSpec | PolarSpec | TopkSpec


def label(codec: CodecSpec) -> str:
    """Return the codec in two words, for tables: its name, and its bits (polar: those of the first level)."""
    bits = codec.level_bits[0] if isinstance(codec, PolarSpec) else codec.bits
    return f"{codec.__struct_config__.tag} {bits}"
