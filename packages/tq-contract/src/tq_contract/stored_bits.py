"""What a vector costs: stored bits per value of every codec and preset, by its own formula.

The runtime's codecs know their price too (`bits_per_value` in tq-core), but they need MLX. These are
the same formulas over the contract's records; a test holds the two against each other.
"""

from math import ceil, floor

from msgspec.structs import replace

from tq_contract.records import CodecSpec, MeanBitsSpec, MseSpec, Parameters, PolarSpec, ProdSpec, UniformSpec

DENSE_BITS = 16
"""Of a value in a cache that is not compressed: bfloat16 or float16."""

_NUMBER = 16  # bits of a gain, a radius, a norm, a scale, a bias, a residual: all bfloat16


def codec_bits(codec: CodecSpec, head_dim: int) -> float:
    """Return the stored bits per value of a codec, everything included.

    Raises:
        ValueError: the codec does not serve vectors of this dimension.
    """
    return _vector_bits(codec, head_dim) / head_dim


def preset_bits(parameters: Parameters, head_dim: int) -> float | None:
    """Return the stored bits per value of a coded token, the mean of keys and values.

    Where keys are centred block by block, each block's own mean is coded like one more key.

    Key bits that are chosen per layer count with the mean that they may have, as if every layer had
    one of the two whole numbers next to it. None where they follow the model alone.
    """
    keys = _key_bits(parameters, head_dim)
    if keys is None:
        return None
    means = 0 if parameters.center_block is None else 1 / parameters.center_block
    return (keys * (1 + means) + codec_bits(parameters.values, head_dim)) / 2


def _key_bits(parameters: Parameters, head_dim: int) -> float | None:
    keys, rule = parameters.keys, parameters.key_bits
    if rule is None:
        return codec_bits(keys, head_dim)
    if not isinstance(rule, MeanBitsSpec) or isinstance(keys, PolarSpec):
        return None
    low, high = floor(rule.mean), ceil(rule.mean)
    less, more = (codec_bits(replace(keys, bits=bits), head_dim) for bits in (low, high))
    return less + (more - less) * (rule.mean - low)


def _vector_bits(codec: CodecSpec, head_dim: int) -> int:
    match codec:
        case MseSpec() | UniformSpec():
            group = codec.gain_group or head_dim
            if head_dim % group:
                raise ValueError(f"head_dim {head_dim} is no multiple of gain_group {group}")
            return _words(head_dim, codec.bits) + _NUMBER * (head_dim // group)
        case ProdSpec():
            signs = _words(codec.sketch_rows or head_dim, 1)
            mse_stage = _words(head_dim, codec.bits - 1) + _NUMBER if codec.bits > 1 else 0
            return mse_stage + signs + _NUMBER
        case PolarSpec():
            return _polar_bits(codec, head_dim)
        case _:
            groups = ceil(head_dim / codec.group_size)
            indices = _words(groups * codec.k, (codec.group_size - 1).bit_length())
            return _words(head_dim, codec.bits) + indices + _NUMBER * groups * (2 + codec.k)


def _polar_bits(codec: PolarSpec, head_dim: int) -> int:
    """Return the bits of all angles, cut to whole bytes, and of a radius per block of 2^levels coordinates."""
    halvings = (head_dim & -head_dim).bit_length() - 1
    if not halvings:
        raise ValueError(f"head_dim {head_dim} is odd: the polar transform takes coordinates in pairs")
    widths = codec.level_bits[:halvings]
    angles = sum(bits * (head_dim >> level) for level, bits in enumerate(widths, start=1))
    return 8 * ceil(angles / 8) + _NUMBER * (head_dim >> len(widths))


def _words(length: int, bits: int) -> int:
    """Return the bits of the 32-bit words that hold so many codes."""
    return 32 * ceil(length * bits / 32)
