"""What a model would compute from a compressed cache's decoded history, by mlx-lm's own attention."""

import copy
from dataclasses import replace

import mlx.core as mx


class ForkedCache:
    """Stands for a compressed cache in one step of a model: hands out the same tokens, decoded, and leaves it alone."""

    def __init__(self, cache):
        self.cache = copy.deepcopy(cache)

    @property
    def offset(self):
        return self.cache.offset

    def update_and_fetch(self, keys, values):
        views = self.cache.update_and_fetch(keys, values)
        return tuple(replace(view, dtype=mx.float32).decode() for view in views)

    def make_mask(self, *args, **kwargs):
        return self.cache.make_mask(*args, **kwargs)
