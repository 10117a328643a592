"""GGUF tensors as the parameters of an mlx-lm model: names, row order, norm offsets.

The GGUF converter changed three things that are undone here: it renamed tensors, it permuted the rows of
Llama's query and key projections from half-split to interleaved rotary pairs, and it added 1 to Gemma's norms.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tq_cert.sample_models.errors import UnexpectedContentError
from tq_cert.sample_models.gguf_file import GgufFile
from tq_cert.sample_models.recipes import Architecture
from tq_cert.sample_models.safetensors_writer import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def model_tensors(gguf: GgufFile, architecture: Architecture) -> list[Tensor]:
    """Every parameter of the model, under mlx-lm's name, ready to be streamed.

    Raises:
        UnexpectedContentError: the file has a tensor without a mapping, or lacks one.
    """
    names = parameter_names(architecture, gguf.get(f"{architecture.gguf_name}.block_count", int))
    present = set(gguf.tensor_names)
    if unknown := sorted(present - names.keys()):
        raise UnexpectedContentError(gguf.path.name, f"tensors without a mapping: {unknown}")
    if missing := sorted(names.keys() - present):
        raise UnexpectedContentError(gguf.path.name, f"tensors are missing: {missing}")
    return [_tensor(gguf, architecture, name, names[name]) for name in gguf.tensor_names]


def parameter_names(architecture: Architecture, block_count: int) -> dict[str, str]:
    """Name in mlx-lm of every tensor that a GGUF file of this architecture must have."""
    names = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    if architecture.separate_head:
        names["output.weight"] = "lm_head.weight"
    for block in range(block_count):
        for theirs, ours in architecture.blocks.items():
            names[f"blk.{block}.{theirs}"] = f"model.layers.{block}.{ours}"
    return names


def half_split_order(rows: int, heads: int) -> "NDArray[np.int64]":
    """Where each row of a half-split projection is in the interleaved one.

    In each head, GGUF's rows run (0, D/2, 1, D/2 + 1, ...); mlx-lm wants 0, 1, ..., D - 1.
    """
    import numpy as np

    pairs = np.arange(rows, dtype=np.int64).reshape(heads, rows // heads // 2, 2)
    return pairs.swapaxes(1, 2).reshape(-1)


def _tensor(gguf: GgufFile, architecture: Architecture, name: str, ours: str) -> Tensor:
    shape = gguf.shape(name)
    row_order = None
    if heads_key := architecture.paired_rows.get(name.split(".", 2)[-1]):
        heads = gguf.get(f"{architecture.gguf_name}.{heads_key}", int)
        row_order = half_split_order(shape[0], heads)
    offset = architecture.norm_offset if name.endswith("norm.weight") else 0.0

    def blocks() -> Iterator["NDArray[np.float32]"]:
        for block in gguf.blocks(name, row_order):
            yield block - block.dtype.type(offset) if offset else block

    return Tensor(name=ours, shape=shape, blocks=blocks)
