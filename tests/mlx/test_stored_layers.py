"""Whatever stands in a state's place, restoring it is a typed error or gives a cache that works."""

import mlx.core as mx
import pytest
from mlx_lm.models.cache import ArraysCache

from small_caches import COMPRESSED, in_use, smallest_caches, with_parts, without_tokens
from tq_core import TurboQuantError
from tq_mlx.stored_layers import StoredLayer, restore, take_layer_apart

CACHES = {
    f"{type(cache).__name__}, {kind}": cache
    for kind, caches in {
        "in use": [*smallest_caches(), *in_use()[2:]],
        "empty": without_tokens(),
        "parts": with_parts(),
    }.items()
    for cache in caches
}

JUNK = [
    None,
    True,
    -1,
    3,
    1 << 70,
    1.0,
    float("nan"),
    "float32",
    [],
    {},
    [None, None],
    {"words": 1},
    mx.array(1),
    mx.zeros((1, 1, 1, 16)),
    mx.zeros((1, 2, 0, 64)),
    StoredLayer("KVCache", [None, None, 0]),
]


def places(tree, here=()):
    """Yield the place of every part of a state."""
    yield here
    if isinstance(tree, StoredLayer):
        yield from places(tree.state, (*here, "state"))
    elif isinstance(tree, dict | list | tuple):
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from places(part, (*here, key))


def put(tree, place, part):
    """Return the state with something else in that place."""
    if not place:
        return part
    key, *rest = place
    if isinstance(tree, StoredLayer):
        return StoredLayer(tree.class_name, put(tree.state, rest, part))
    if isinstance(tree, dict):
        return tree | {key: put(tree[key], rest, part)}
    return [put(inner, rest, part) if index == key else inner for index, inner in enumerate(tree)]


@pytest.mark.parametrize("name", CACHES)
def test_anything_in_any_place_is_refused_or_harmless(name):
    layer = take_layer_apart("layer 0", CACHES[name])
    for place in places(layer.state):
        for part in JUNK:
            try:
                again = restore(StoredLayer(layer.class_name, put(layer.state, place, part)))
            except TurboQuantError:
                continue
            goes_on(again)


def goes_on(cache):
    """Read all that a cache holds."""
    for part in getattr(cache, "caches", getattr(cache, "rows", [cache])):
        if isinstance(part, ArraysCache):
            mx.eval([array for array in part.cache if array is not None])
        elif not part.empty():
            held = part.keys_and_values()
            mx.eval([view.decode() for view in held] if isinstance(part, COMPRESSED) else held)
