"""The codecs that lanes without a cache compare: each by its form and its bits, random in nothing but a seed."""

from collections.abc import Callable
from typing import Any

import tq_mlx  # noqa: F401  # pyright: ignore[reportUnusedImport]  # first: it loads OpenBLAS before MLX is imported

# isort: split
from tq_cert.lanes.forms import Candidate, Form
from tq_core import Codec, Hadamard, MseCodec, PolarCodec, ProdCodec, RandomOrthogonal, UniformCodec
from tq_core.polar import FULL_DEPTH


def codec_of(candidate: Candidate, seed: int = 0) -> Codec[Any]:
    """The codec; prod's sketch and every rotation are drawn from the seed."""
    return MAKERS[candidate.form](candidate.bits, seed)


def prod(bits: int, seed: int) -> Codec[Any]:
    return ProdCodec(Hadamard(seed), bits, sketch_seed=seed)


def mse(bits: int, seed: int) -> Codec[Any]:
    return MseCodec(Hadamard(seed), bits, gain="norm", scale_search=False)


def mse_search(bits: int, seed: int) -> Codec[Any]:
    return MseCodec(Hadamard(seed), bits, gain="norm_preserving")


def uniform(bits: int, seed: int) -> Codec[Any]:
    return UniformCodec(Hadamard(seed), bits, gain="norm_preserving")


def polar(bits: int, seed: int) -> Codec[Any]:
    return PolarCodec(RandomOrthogonal(seed), FULL_DEPTH[bits], gain="norm")


MAKERS: dict[Form, Callable[[int, int], Codec[Any]]] = {
    "prod": prod,
    "mse": mse,
    "mse_search": mse_search,
    "uniform": uniform,
    "polar": polar,
}
