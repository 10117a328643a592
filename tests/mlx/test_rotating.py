"""The compressed window against mlx-lm's RotatingKVCache, which is the model of what is attended to and when."""

import copy
from dataclasses import replace

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from mlx_lm.models.base import scaled_dot_product_attention
from mlx_lm.models.cache import RotatingKVCache, load_prompt_cache, save_prompt_cache, trim_prompt_cache

from forked_cache import ForkedCache
from tq_core import NonFiniteError
from tq_mlx import (
    TurboQuantConfig,
    TurboQuantKVCache,
    TurboQuantRotatingKVCache,
    UnsupportedCacheError,
    status,
    streaming_attention,
    upgrade_cache_list,
)
from tq_mlx.cache_kinds import KEEPS, SLIDING
from vectors import keys_and_values, queries

SMALL = replace(
    TurboQuantConfig.from_preset("lloyd_k4v4"), tail_tokens=8, block_tokens=4, sliding_layers="compressed", preset=None
)
PLAIN = replace(SMALL, center_keys=False)
"""Without centring, a token's code depends on the token alone, and so does what it decodes to."""

KEYS, VALUES = keys_and_values(720, heads=1)


def as_coded(config):
    """What the tokens decode to once they are codes."""
    cache = TurboQuantKVCache(replace(config, sink_tokens=0, tail_tokens=0, block_tokens=1))
    cache.update_and_fetch(KEYS, VALUES)
    return [view.decode() for view in cache.keys_and_values()]


CODED = as_coded(PLAIN)


def run(first, count, of=(KEYS, VALUES)):
    return [array[..., first : first + count, :] for array in of]


def snapshot(cache):
    return [(path, leaf.tolist() if isinstance(leaf, mx.array) else leaf) for path, leaf in tree_flatten(cache.state)]


@given(
    window=st.integers(2, 40),
    sizes=st.lists(st.one_of(st.just(1), st.integers(1, 60)), min_size=1, max_size=12),
    tail=st.sampled_from([0, 8, 64]),
)
@settings(max_examples=40)
def test_every_token_attends_to_what_it_would_in_a_rotating_cache(window, sizes, tail):
    """The model caches hold decoded values: of each step's codes, the very tokens that RotatingKVCache keeps."""
    config = replace(PLAIN, tail_tokens=tail, block_tokens=1 if not tail else 4)
    ours, model = TurboQuantRotatingKVCache(config, window), RotatingKVCache(window)
    positions = RotatingKVCache(window)
    done = 0
    for size in sizes:
        masks = [cache.make_mask(size) for cache in (ours, model)]
        assert type(masks[0]) is type(masks[1])
        assert masks[0] == masks[1] if not isinstance(masks[0], mx.array) else mx.array_equal(*masks)
        keys, values = ours.update_and_fetch(*run(done, size))
        model.update_and_fetch(*run(done, size))
        numbers = mx.arange(done, done + size, dtype=mx.float32).reshape(1, 1, size, 1)
        held = positions.update_and_fetch(numbers, numbers)[0].flatten().astype(mx.int32)
        done += size
        assert (ours.offset, ours.size()) == (model.offset, model.size()) == (done, min(done, window))
        assert keys.shape[2] == held.size
        sink, tail = (0 if segment is None else segment.shape[-2] for segment in (keys.sink, keys.tail))
        dense = ((held < done - held.size + sink) | (held >= done - tail))[:, None]
        truths = [
            mx.where(dense, exact[0, 0][held], coded[0, 0][held])[None, None]
            for exact, coded in zip((KEYS, VALUES), CODED, strict=True)
        ]
        q = queries(size, heads=2, seed=done)
        out = streaming_attention(q, keys, values, scale=0.125, mask=masks[0])
        truth = mx.fast.scaled_dot_product_attention(q, *truths, scale=0.125, mask=masks[1])
        assert mx.abs(out - truth).max().item() < 1e-4
        assert ours.held.offset <= window - 1 + config.block_tokens - 1 + size


@pytest.mark.parametrize("window_size", [None, 5, 16, 40])
@pytest.mark.parametrize("return_array", [False, True])
@pytest.mark.parametrize("held", [0, 1, 4, 5, 15, 16, 17, 50])
def test_masks_are_those_of_mlx_lm(held, return_array, window_size):
    """In a ring's order mlx-lm's mask for one token is a rotation of ours."""
    ours, model = TurboQuantRotatingKVCache(SMALL, 16), RotatingKVCache(16)
    for first in range(held):
        for cache in (ours, model):
            cache.update_and_fetch(*run(first, 1))
    for new in (1, 2, 3, 12, 40):
        options = {"window_size": window_size, "return_array": return_array}
        mine, theirs = (cache.make_mask(new, **options) for cache in (ours, model))
        assert type(mine) is type(theirs), new
        if isinstance(mine, mx.array) and new == 1:
            assert mine.tolist() == sorted(theirs.tolist())
        elif isinstance(mine, mx.array):
            assert mx.array_equal(mine, theirs), new
        else:
            assert mine == theirs


def test_memory_stays_bounded_however_long_it_runs():
    cache = TurboQuantRotatingKVCache(SMALL, 48)
    sizes, most = [], 0
    for step in range(380):
        cache.update_and_fetch(*run(step, 1))
        sizes.append(cache.held.offset)
        most = max(most, cache.nbytes)
        if step == 100:
            early = most
    assert max(sizes) <= 47 + 3 + 1
    assert most == early
    assert cache.offset == 380


def test_first_tokens_are_a_sink_while_they_last_and_the_older_ones_are_codes():
    cache, seen = TurboQuantRotatingKVCache(SMALL, 48), []
    for first in range(0, 200, 20):
        cache.update_and_fetch(*run(first, 20))
        cache.update_and_fetch(*run(first, 1))
        seen.append({name: segment.tokens for name, segment in cache.memory().items()})
    assert seen[0] == {"sink": 4, "packed": 8, "tail": 9}
    assert seen[-1] == {"sink": 0, "packed": 40, "tail": 10}


def test_centring_uses_the_keys_of_the_window_at_the_first_compression():
    cache = TurboQuantRotatingKVCache(SMALL, 48)
    cache.update_and_fetch(*run(0, 200))
    cache.update_and_fetch(*run(200, 1))
    assert mx.allclose(cache.held.centre.mean, KEYS[..., 152:200, :].mean(axis=-2, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("center_block", [None, 3, 8, 64])
@pytest.mark.parametrize("sizes", [[1] * 150, [7] * 20, [50, 1, 1, 33, *[1] * 60]], ids=["ones", "sevens", "mixed"])
def test_what_is_decoded_is_close_to_the_keys_wherever_the_window_cuts_a_block(center_block, sizes):
    """A block's deviation given to another block's tokens would show as a larger error than any here."""
    cache, done = TurboQuantRotatingKVCache(replace(SMALL, center_block=center_block), 41), 0
    for size in sizes:
        view, _ = cache.update_and_fetch(*run(done, size))
        done += size
        truth = KEYS[..., done - view.shape[2] : done, :]
        error = mx.square(view.decode() - truth).sum() / mx.square(truth - KEYS.mean(axis=-2, keepdims=True)).sum()
        assert error.item() < 0.02


@given(tokens=st.integers(1, 60), trims=st.lists(st.integers(0, 70), max_size=3))
@settings(max_examples=25)
def test_trimming_is_forgetting_while_nothing_has_left_the_window(tokens, trims):
    ours, model = TurboQuantRotatingKVCache(PLAIN, 40), RotatingKVCache(40)
    for cache in (ours, model):
        cache.update_and_fetch(*run(0, tokens))
    for count in trims:
        assert ours.is_trimmable() == model.is_trimmable()
        assert trim_prompt_cache([ours], count) == trim_prompt_cache([model], count)
        assert (ours.offset, ours.size()) == (model.offset, model.size())
    if ours.offset < 40:
        view = ours.update_and_fetch(*run(300, 3))[0]
        model.update_and_fetch(*run(300, 3))
        assert view.shape[2] == model.keys_and_values()[0].shape[2]
        assert mx.array_equal(view.decode()[..., -3:, :], KEYS[..., 300:303, :])


@pytest.mark.parametrize("tokens", [0, 3, 30, 90])
def test_it_survives_files_states_and_copies(tmp_path, tokens):
    cache = TurboQuantRotatingKVCache(SMALL, 40)
    for first in range(0, tokens, 3):
        cache.update_and_fetch(*run(first, 3))
    save_prompt_cache(str(tmp_path / "cache.safetensors"), [cache])
    (loaded,) = load_prompt_cache(str(tmp_path / "cache.safetensors"))
    twins = [loaded, TurboQuantRotatingKVCache.from_state(copy.deepcopy(cache.state)), copy.deepcopy(cache)]
    before = snapshot(cache)
    for twin in twins:
        assert type(twin) is TurboQuantRotatingKVCache
        assert snapshot(twin) == before
        twin.update_and_fetch(*run(200, 30))
    assert snapshot(cache) == before
    cache.update_and_fetch(*run(200, 30))
    assert all(snapshot(twin) == snapshot(cache) for twin in twins)
    assert cache.nbytes == sum(leaf.nbytes for _, leaf in tree_flatten(cache.state) if isinstance(leaf, mx.array))


def test_a_layer_that_shares_the_keys_sees_what_the_update_handed_out():
    cache = TurboQuantRotatingKVCache(SMALL, 16)
    for first, size in ((0, 30), (30, 50), (80, 1), (81, 7)):
        views = cache.update_and_fetch(*run(first, size))
        for shared, own in zip(cache.keys_and_values(), views, strict=True):
            assert mx.array_equal(shared.decode(), own.decode())


def test_non_finite_tokens_are_refused_and_nothing_that_counts_changes():
    cache = TurboQuantRotatingKVCache(SMALL, 16)
    cache.update_and_fetch(*run(0, 30))
    before = snapshot(cache)
    with pytest.raises(NonFiniteError):
        cache.update_and_fetch(KEYS[..., :5, :] * float("nan"), VALUES[..., :5, :])
    assert snapshot(cache) == before


@pytest.mark.parametrize("sizes", [[5], [30], [16, 1], [50, *[1] * 5], [*[1] * 37], [10, 10, 10, 1]], ids=str)
def test_an_upgraded_ring_goes_on_as_the_ring_would_have(sizes):
    dense, first = RotatingKVCache(16), 0
    for size in sizes:
        dense.update_and_fetch(*run(first, size))
        first += size
    caches, config = [copy.deepcopy(dense)], replace(PLAIN, tail_tokens=64)
    (event,) = upgrade_cache_list(caches, config=config, model_family="gemma")
    assert (event.compressed, event.after, event.offset) == (True, "TurboQuantRotatingKVCache", first)
    assert "window of 16" in event.reason
    assert upgrade_cache_list(caches, config=config, model_family="gemma") == []
    q = queries(1, heads=2)
    for step in range(first, first + 20):  # all of it still dense: the ring's own tokens in the order of time
        keys, values = caches[0].update_and_fetch(*run(step, 1))
        out = scaled_dot_product_attention(q, keys, values, cache=caches[0], scale=0.125, mask=None)
        held = dense.update_and_fetch(*run(step, 1))
        truth = mx.fast.scaled_dot_product_attention(q, *held, scale=0.125, mask=None)
        assert mx.abs(out - truth).max().item() < 1e-5
        start = max(0, step + 1 - 16)
        assert mx.array_equal(keys.decode(), KEYS[..., start : step + 1, :])


def test_only_the_option_compresses_windows_and_never_those_that_keep_first_tokens():
    def caches():
        made = [RotatingKVCache(32), RotatingKVCache(32, keep=4)]
        for cache in made:
            cache.update_and_fetch(*run(0, 60))
        return made

    dense, compressed = caches(), caches()
    events = upgrade_cache_list([*dense, TurboQuantKVCache(SMALL)], config=SMALL, model_family="gemma")
    assert events
    events = upgrade_cache_list(compressed, config=SMALL, model_family="gemma")
    assert [event.reason == KEEPS for event in events] == [False, True]
    assert [type(cache) for cache in compressed] == [TurboQuantRotatingKVCache, RotatingKVCache]
    off = replace(SMALL, sliding_layers="dense")
    dense = caches()
    with pytest.raises(UnsupportedCacheError, match="no layer can be compressed"):
        upgrade_cache_list(dense, config=off, model_family="gemma")
    assert [layer.reason for layer in status([*dense, TurboQuantKVCache(off)]).layers[:1]] == [SLIDING]
    layer = status(compressed).layers[0]
    assert (layer.realised, layer.keys, layer.offset) == (SMALL.label, "mse 4", 60)


def test_gemma_runs_with_its_windows_compressed(tiny_gemma):
    tokens = mx.array([[1 + index * 7 % 60 for index in range(90)]])
    compressed = tiny_gemma.make_cache()
    upgrade_cache_list(compressed, config=SMALL, model_family="gemma")
    assert [type(cache) for cache in compressed] == [*[TurboQuantRotatingKVCache] * 2, TurboQuantKVCache]
    for first, size in ((0, 20), (20, 50), *((step, 1) for step in range(70, 90))):
        chunk = tokens[:, first : first + size]
        truth = tiny_gemma(chunk, cache=[ForkedCache(cache) for cache in compressed])
        assert mx.abs(tiny_gemma(chunk, cache=compressed) - truth).max().item() < 1e-3
    assert all(layer.codes_read for layer in status(compressed).layers)


def test_a_window_carries_its_admission_through_files(tmp_path):
    cache = [RotatingKVCache(32)]
    cache[0].update_and_fetch(*run(0, 60))
    upgrade_cache_list(cache, config=SMALL, model_family="qwen2", research=True)
    save_prompt_cache(str(tmp_path / "cache.safetensors"), cache)
    for held in (cache, load_prompt_cache(str(tmp_path / "cache.safetensors"))):
        assert [(layer.family, layer.research) for layer in status(held).layers] == [("qwen2", True)]
