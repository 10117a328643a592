"""States as JSON: a tree whose arrays are replaced by their names, and back."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import mlx.core as mx

from tq_mlx.errors import DamagedCacheFileError
from tq_mlx.stored_layers import StoredLayer

TENSOR, CLASS, STATE = "tensor", "class", "state"


def take_arrays(tree: Any, name: str, arrays: dict[str, mx.array]) -> Any:
    """Return the tree as JSON values and put its arrays into ``arrays``, named by their places."""
    if isinstance(tree, mx.array):
        arrays[name] = tree
        return {TENSOR: name}
    if isinstance(tree, StoredLayer):
        return {CLASS: tree.class_name, STATE: take_arrays(tree.state, name, arrays)}
    if isinstance(tree, Mapping):
        items = cast("Mapping[str, Any]", tree).items()
        return {key: take_arrays(part, f"{name}.{key}", arrays) for key, part in items}
    if isinstance(tree, list | tuple):
        parts = enumerate(cast("Sequence[Any]", tree))
        return [take_arrays(part, f"{name}.{index}", arrays) for index, part in parts]
    return tree


def put_arrays(tree: Any, arrays: dict[str, mx.array]) -> Any:
    """Return the tree with its arrays, each of which is taken out of ``arrays``.

    Raises:
        DamagedCacheFileError: an array is missing, or named twice.
    """
    if isinstance(tree, list):
        return [put_arrays(part, arrays) for part in cast("list[Any]", tree)]
    if not isinstance(tree, dict):
        return tree
    fields = cast("dict[str, Any]", tree)
    if set(fields) == {TENSOR}:
        if fields[TENSOR] not in list(arrays):
            raise DamagedCacheFileError(f"tensor {fields[TENSOR]!r} is not there, or belongs to two places")
        return arrays.pop(fields[TENSOR])
    if set(fields) == {CLASS, STATE} and isinstance(fields[CLASS], str):
        return StoredLayer(fields[CLASS], put_arrays(fields[STATE], arrays))
    return {key: put_arrays(part, arrays) for key, part in fields.items()}
