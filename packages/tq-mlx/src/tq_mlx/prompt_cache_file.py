"""Files of mlx-lm's own save_prompt_cache, read without trust: for inspection alone.

Names of tensors are places in the tree [state of layer 0, …]; the metadata is the tree [user's, class names, scalars],
of which the last names the tensors that stand for a number, a text or None. MLX's unflattening would make room for
whatever index a name claims; here the indices must be those of a list.
"""

from collections.abc import Mapping
from typing import Any, cast

import mlx.core as mx

from tq_mlx.errors import DamagedCacheFileError
from tq_mlx.safetensors_file import SafetensorsFile
from tq_mlx.stored_layers import StoredLayer

DEEPEST = 16


def read_prompt_cache(file: SafetensorsFile) -> list[StoredLayer]:
    """Return the layers of an open file; DamagedCacheFileError names what does not fit."""
    metadata = file.header.metadata
    described = nested({name: text for name, text in metadata.items() if name.startswith(("1.", "2."))})
    classes, scalars = list_at(described, "1"), list_at(described, "2")
    leaves: dict[str, Any] = {name: file.array(name) for name in file.header.tensors}
    for entry in scalars[1:]:
        if not isinstance(entry, list) or len(cast("list[Any]", entry)) != 2 or entry[0] not in list(leaves):
            raise DamagedCacheFileError(f"the scalar {entry!r} names no tensor")
        name, kind = cast("list[str]", entry)
        leaves[name] = scalar(name, kind, leaves[name])
    states = nested(leaves)
    if not isinstance(states, list) or len(cast("list[Any]", states)) != len(classes):
        raise DamagedCacheFileError(f"the file names {len(classes)} layers and does not hold the state of each")
    return [stored(name, state) for name, state in zip(classes, cast("list[Any]", states), strict=True)]


def list_at(tree: Any, key: str) -> list[Any]:
    part = cast("dict[str, Any]", tree).get(key) if isinstance(tree, dict) else None
    if not isinstance(part, list):
        raise DamagedCacheFileError("the metadata does not list the layers' classes and scalars")
    return cast("list[Any]", part)


def stored(class_name: object, state: Any) -> StoredLayer:
    """Return a layer; the parts of a CacheList are layers too."""
    if not isinstance(class_name, str):
        raise DamagedCacheFileError(f"{class_name!r} is no class name")
    if class_name == "CacheList" and isinstance(state, list):
        pairs = cast("list[Any]", state)
        if not all(isinstance(pair, list) and len(cast("list[Any]", pair)) == 2 for pair in pairs):
            raise DamagedCacheFileError("a CacheList is a list of states and class names")
        return StoredLayer(class_name, [stored(name, part) for part, name in pairs])
    return StoredLayer(class_name, state)


def scalar(name: str, kind: str, array: mx.array) -> Any:
    """Return the value for which a tensor stands."""
    if kind == "none" and not array.size:
        return None
    if kind == "scalar" and not array.ndim:
        return array.item()
    if kind == "string" and array.ndim == 1:
        points = cast("list[Any]", array.tolist())
        if all(type(point) is int and 0 <= point < 0x110000 for point in points):
            return "".join(map(chr, points))
    raise DamagedCacheFileError(f"tensor {name!r} of shape {array.shape} and {array.dtype} is no {kind}")


def nested(leaves: Mapping[str, Any]) -> Any:
    """Return the tree whose places the dotted names are: a list where they count from 0, else a mapping."""
    root: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *places, last = name.split(".", DEEPEST)
        node: Any = root
        for place in places:
            node = node.setdefault(place, {})
            if not isinstance(node, dict):
                break
        if not isinstance(node, dict) or last in node or "." in last:
            raise DamagedCacheFileError(f"{name!r} is no place of its own in a tree")
        node[last] = leaf
    return listed(root)


def listed(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    items = {key: listed(part) for key, part in cast("dict[str, Any]", tree).items()}
    places = [str(index) for index in range(len(items))]
    return [items[place] for place in places] if set(items) == set(places) else items
