"""Every codec that the shared tests of ``test_codec_matrix.py`` run over. A new codec joins by a row."""

from dataclasses import dataclass
from typing import Any

from tq_core import (
    Codec,
    Hadamard,
    Identity,
    MseCodec,
    PolarCodec,
    ProdCodec,
    RandomOrthogonal,
    TopkCodec,
    UniformCodec,
)

HEAD_DIMS = (64, 80, 128)
"""A power of two, 20·4 without an MLX group size, and MLX's largest group."""


@dataclass(frozen=True)
class Row:
    """A codec, and the D_mse that it should show on Gaussian vectors (the tests allow −40 % to +15 %)."""

    name: str
    codec: Codec[Any]
    error: float

    def __str__(self) -> str:
        return self.name


ROWS = (
    Row("mse1-norm", MseCodec(bits=1, gain="norm", scale_search=False), 0.3634),
    Row("mse2", MseCodec(bits=2), 0.1175),
    Row("mse3", MseCodec(Hadamard(7), bits=3), 0.0340),
    Row("mse4-norm", MseCodec(bits=4, gain="norm", scale_search=False), 0.0095),
    Row("mse4-least-squares", MseCodec(bits=4, scale_search=False), 0.0095),
    Row("mse4", MseCodec(bits=4), 0.0080),
    Row("mse4-norm-preserving", MseCodec(bits=4, gain="norm_preserving"), 0.0080),
    Row("mse4-orthogonal", MseCodec(RandomOrthogonal(3), bits=4), 0.0080),
    Row("mse4-identity", MseCodec(Identity(), bits=4), 0.0080),
    Row("mse4-groups", MseCodec(bits=4, gain_group=16), 0.0050),
    Row("mse6-norm", MseCodec(bits=6, gain="norm", scale_search=False), 0.000644),
    Row("mse7-norm", MseCodec(bits=7, gain="norm", scale_search=False), 0.000165),
    Row("mse8-least-squares", MseCodec(bits=8, scale_search=False), 0.000044),
    Row("uniform2", UniformCodec(bits=2), 0.1188),
    Row("uniform3-norm", UniformCodec(bits=3, gain="norm", scale_search=False), 0.0374),
    Row("uniform4", UniformCodec(bits=4), 0.0097),
    Row("uniform4-norm-preserving", UniformCodec(bits=4, gain="norm_preserving"), 0.0097),
    Row("uniform4-orthogonal", UniformCodec(RandomOrthogonal(1), bits=4), 0.0097),
    Row("uniform4-groups", UniformCodec(bits=4, gain_group=16), 0.0055),
    Row("uniform6", UniformCodec(bits=6), 0.0007),
    Row("uniform8", UniformCodec(bits=8), 0.00006),
    Row("prod1", ProdCodec(bits=1), 1.5708),
    Row("prod4", ProdCodec(bits=4), 0.0543),
    Row("polar4", PolarCodec(), 0.0098),
    Row("polar-paper", PolarCodec(level_bits=(4, 2, 2, 2), gain="norm"), 0.032),
    Row("topk4", TopkCodec(), 0.0049),
)
