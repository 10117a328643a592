"""mlx-lm's LRUPromptCache with compressed caches: what is fetched is independent, packed, and right after trimming."""

import copy
import importlib
from dataclasses import replace

import mlx.core as mx
import pytest
from mlx_lm.models.cache import KVCache, LRUPromptCache, make_prompt_cache

from lively_llama import lively_llama
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, upgrade_cache_list

PRESET = TurboQuantConfig.from_preset("lloyd_k4v4")
CONFIG = replace(PRESET, center_block=8, sink_tokens=4, tail_tokens=16, block_tokens=8)
TOKENS = [1 + index * 7 % 90 for index in range(120)]
NAME = "model"


@pytest.fixture(scope="module")
def model():
    return lively_llama()


@pytest.fixture
def cache(model):
    """Compressed caches that hold TOKENS."""
    layers = make_prompt_cache(model)
    model(mx.array([TOKENS]), cache=layers)
    upgrade_cache_list(layers, config=CONFIG, model_family="llama")
    assert all(layer.packed.length > 64 for layer in layers)
    return layers


def continued(model, cache, tokens):
    """Generate greedily behind ``tokens``, which the cache does not hold yet."""
    generate_step = importlib.import_module("mlx_lm.generate").generate_step
    return [token for token, _ in generate_step(mx.array(tokens), model, prompt_cache=cache, max_tokens=6)]


def dense_twin(cache):
    """Return mlx-lm's caches that hold what the compressed ones decode to."""
    twins = []
    for layer in cache:
        twin = KVCache()
        if layer.offset:
            twin.update_and_fetch(*(view.decode() for view in layer.keys_and_values()))
        twins.append(twin)
    return twins


def contents(cache):
    return [[view.decode().tolist() for view in layer.keys_and_values()] for layer in cache]


def test_an_exact_hit_is_a_copy_that_goes_its_own_way(model, cache):
    lru = LRUPromptCache()
    lru.insert_cache(NAME, TOKENS, cache)
    before = contents(cache)
    first, rest = lru.fetch_nearest_cache(NAME, TOKENS)
    assert rest == []
    tokens = continued(model, first, [5])
    assert contents(cache) == before
    assert [layer.reads.count for layer in cache] == [0, 0]
    second, _ = lru.fetch_nearest_cache(NAME, TOKENS)
    assert continued(model, second, [5]) == tokens == continued(model, dense_twin(cache), [5])


@pytest.mark.parametrize("common", [118, 105, 60, 5, 4, 2, 1], ids="{} tokens in common".format)
def test_a_longer_entry_is_trimmed_across_every_border_and_stays_packed(model, cache, common):
    lru = LRUPromptCache()
    lru.insert_cache(NAME, TOKENS, cache)
    asked = [*TOKENS[:common], 93, 94]
    found, rest = lru.fetch_nearest_cache(NAME, asked)
    assert rest == [93, 94]
    assert all(type(layer) is TurboQuantKVCache for layer in found)
    assert {layer.offset for layer in found} == {common}
    for layer, whole in zip(found, cache, strict=True):
        assert layer.packed.length == min(whole.packed.length, max(0, common - CONFIG.sink_tokens))
        assert whole.offset == len(TOKENS)
    assert continued(model, found, rest) == continued(model, dense_twin(cut(cache, common)), rest)


def cut(cache, tokens):
    copies = copy.deepcopy(cache)
    for layer in copies:
        layer.trim(layer.offset - tokens)
    return copies


def test_a_shorter_entry_is_continued(model, cache):
    lru = LRUPromptCache()
    lru.insert_cache(NAME, TOKENS, cache)
    found, rest = lru.fetch_nearest_cache(NAME, [*TOKENS, 7, 8, 9])
    assert rest == [7, 8, 9]
    assert continued(model, found, rest) == continued(model, dense_twin(cache), rest)


def test_bytes_are_counted_and_entries_leave_when_there_are_too_many(cache):
    nbytes = sum(layer.nbytes for layer in cache)
    lru = LRUPromptCache(max_bytes=2 * nbytes)
    for first in (1, 2, 3):
        lru.insert_cache(NAME, [first, *TOKENS], copy.deepcopy(cache))
        assert lru.nbytes == min(first, 2) * nbytes
    assert lru.fetch_nearest_cache(NAME, [1, *TOKENS])[0] is None
    lru.trim_to(n_bytes=0)
    assert (len(lru), lru.nbytes) == (0, 0)


def test_copies_share_nothing_that_changes(cache):
    twin = copy.deepcopy(cache)
    before = contents(cache)
    for layer in twin:
        layer.trim(50)
        layer.update_and_fetch(mx.ones((1, 2, 90, 64)), mx.ones((1, 2, 90, 64)))
    assert contents(cache) == before
    assert [layer.config for layer in twin] == [layer.config for layer in cache]


def test_what_was_trimmed_to_nothing_centres_anew(cache):
    """No code depends on the old mean, so another prompt gets the mean of its own keys."""
    (layer, *_) = cache
    fresh = TurboQuantKVCache(CONFIG)
    layer.trim(layer.offset)
    for one in (layer, fresh):
        one.update_and_fetch(5 + mx.random.normal((1, 2, 60, 64), key=mx.random.key(1)), mx.ones((1, 2, 60, 64)))
    assert mx.array_equal(layer.centre.mean, fresh.centre.mean)
    ours, theirs = (one.keys_and_values()[0].decode() for one in (layer, fresh))
    assert mx.array_equal(ours, theirs)
