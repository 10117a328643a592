"""Pure-MLX vector quantizers for KV caches: rotations, codebooks, packing, codecs."""

from tq_core import availability as availability  # first: it says what to do where MLX is missing

# isort: split
from tq_core.codec import Code, Codec
from tq_core.errors import (
    InvalidCodecError,
    NonFiniteError,
    TurboQuantError,
    UnsupportedHeadDimError,
)
from tq_core.mse import MseCodec
from tq_core.packing import pack, unpack
from tq_core.polar import PolarCode, PolarCodec
from tq_core.prod import ProdCode, ProdCodec
from tq_core.registry import codec_from_dict, codec_to_dict, register_codec
from tq_core.rotation import Hadamard, Identity, RandomOrthogonal, Rotation, rotation
from tq_core.scalar import ScalarCode
from tq_core.topk import TopkCode, TopkCodec
from tq_core.uniform import UniformCodec

__all__ = [
    "Code",
    "Codec",
    "Hadamard",
    "Identity",
    "InvalidCodecError",
    "MseCodec",
    "NonFiniteError",
    "PolarCode",
    "PolarCodec",
    "ProdCode",
    "ProdCodec",
    "RandomOrthogonal",
    "Rotation",
    "ScalarCode",
    "TopkCode",
    "TopkCodec",
    "TurboQuantError",
    "UniformCodec",
    "UnsupportedHeadDimError",
    "codec_from_dict",
    "codec_to_dict",
    "pack",
    "register_codec",
    "rotation",
    "unpack",
]
