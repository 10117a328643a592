import copy
from dataclasses import replace

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from mlx_lm.models.cache import KVCache, load_prompt_cache, save_prompt_cache, trim_prompt_cache

import tq_contract
from tq_core import NonFiniteError, UnsupportedHeadDimError
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, UnsupportedCacheError
from vectors import feed, keys_and_values

SMALL = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), sink_tokens=3, tail_tokens=8, block_tokens=4)


def live_bytes(cache):
    return sum(leaf.nbytes for _, leaf in tree_flatten(cache.state) if isinstance(leaf, mx.array))


def snapshot(cache):
    return [(path, leaf.tolist() if isinstance(leaf, mx.array) else leaf) for path, leaf in tree_flatten(cache.state)]


def test_segments_fill_in_time_order():
    cache = TurboQuantKVCache(SMALL)
    keys, values = keys_and_values(40)
    feed(cache, keys, values, [1] * 40)
    tokens = {name: segment.tokens for name, segment in cache.memory().items()}
    assert tokens == {"sink": 3, "packed": 28, "tail": 9}
    assert cache.offset == cache.size() == 40
    decoded_keys, decoded_values = (view.decode() for view in cache.keys_and_values())
    for decoded, truth in ((decoded_keys, keys), (decoded_values, values)):
        assert mx.array_equal(decoded[..., :3, :], truth[..., :3, :])
        assert mx.array_equal(decoded[..., -9:, :], truth[..., -9:, :])
        coded = decoded[..., 3:-9, :] - truth[..., 3:-9, :]
        error = mx.square(coded).sum() / mx.square(truth[..., 3:-9, :] - truth.mean(axis=-2, keepdims=True)).sum()
        assert 0.001 < error.item() < 0.02


def test_a_long_block_attends_to_itself_exactly_and_is_coded_afterwards():
    cache = TurboQuantKVCache(SMALL)
    keys, values = keys_and_values(50)
    view, _ = cache.update_and_fetch(keys, values)
    assert view.packed == 0
    assert mx.array_equal(view.decode(), keys)
    assert cache.packed.length == 36


def test_without_a_tail_tokens_are_coded_before_they_are_attended_to():
    cache = TurboQuantKVCache(replace(SMALL, tail_tokens=0, block_tokens=1))
    keys, values = keys_and_values(20)
    view, _ = feed(cache, keys, values, [10, 1, 9])
    assert (view.sink.shape[-2], view.packed, view.tail) == (3, 17, None)


def test_nbytes_is_the_sum_of_all_arrays(preset):
    cache = TurboQuantKVCache(preset)
    assert cache.nbytes == live_bytes(cache) == 0
    keys, values = keys_and_values(700, batch=2)
    for first in range(0, 700, 100):
        cache.update_and_fetch(keys[..., first : first + 100, :], values[..., first : first + 100, :])
        assert cache.nbytes == live_bytes(cache)
    assert cache.memory()["packed"].bits_per_value * 2 * 2 * 2 * 64 * 256 * 2 / 8 <= cache.nbytes


@pytest.mark.parametrize("name", ["lloyd_k4v4", "uniform_k4v4", "paper_mse"])
def test_stored_bits_per_value_are_those_of_the_contract_and_of_the_arrays(name):
    bits = tq_contract.preset_bits(tq_contract.load().preset(name).parameters, 64)
    cache = TurboQuantKVCache(TurboQuantConfig.from_preset(name))
    keys, values = keys_and_values(128 + 256 + cache.config.sink_tokens)
    cache.update_and_fetch(keys, values)
    assert cache.memory()["packed"].bits_per_value == bits
    # The formula is what the arrays take: 256 packed tokens fill their capacity exactly, and four blocks.
    assert cache.packed.length == 256
    deviations = cache.centre.deviations if cache.centre else None
    assert (cache.packed.nbytes + (deviations.nbytes if deviations else 0)) * 8 / (256 * 2 * 2 * 64) == bits


def test_views_are_not_changed_by_later_updates():
    cache = TurboQuantKVCache(SMALL)
    keys, values = keys_and_values(60)
    view, _ = feed(cache, keys[..., :40, :], values[..., :40, :], [40])
    before = cache.keys_and_values()[0].decode()
    mx.eval(before)
    held = cache.keys_and_values()[0]
    feed(cache, keys[..., 40:, :], values[..., 40:, :], [1] * 20)
    assert mx.array_equal(held.decode(), before)
    assert view.shape[2] == 40


@given(data=st.data(), total=st.integers(30, 90))
@settings(max_examples=20)
def test_what_is_coded_does_not_depend_on_the_split(data, total):
    """Without centring, a token's code depends on the token alone."""
    config = replace(SMALL, center_keys=False)
    keys, values = keys_and_values(total, seed=total)
    cuts = sorted(data.draw(st.sets(st.integers(1, total - 1), max_size=6)))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]
    split, whole = TurboQuantKVCache(config), TurboQuantKVCache(config)
    feed(split, keys, values, sizes)
    feed(whole, keys, values, [total])
    for one, other in zip(split.keys_and_values(), whole.keys_and_values(), strict=True):
        first, last = one.packed, other.packed
        shared = 3 + min(first, last)
        assert mx.array_equal(one.decode()[..., :shared, :], other.decode()[..., :shared, :])


def test_centring_uses_the_first_keys_without_the_sink_and_freezes():
    cache = TurboQuantKVCache(SMALL)
    keys, values = keys_and_values(50)
    cache.update_and_fetch(keys, values)
    expected = keys[..., 3:, :].mean(axis=-2, keepdims=True)
    assert mx.allclose(cache.centre.mean, expected, atol=1e-5)
    cache.update_and_fetch(keys + 100, values)
    assert mx.allclose(cache.centre.mean, expected, atol=1e-5)


def test_centring_lowers_the_error_of_keys_with_a_common_offset():
    keys, values = keys_and_values(300)
    errors = []
    for center in (True, False):
        cache = TurboQuantKVCache(replace(SMALL, center_keys=center))
        cache.update_and_fetch(keys, values)
        errors.append(mx.square(cache.keys_and_values()[0].decode() - keys).sum().item())
    assert errors[0] < 0.35 * errors[1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", ["keys", "values"])
def test_non_finite_tokens_are_refused_and_nothing_changes(bad, side):
    cache = TurboQuantKVCache(SMALL)
    keys, values = keys_and_values(40)
    cache.update_and_fetch(keys, values)
    before = snapshot(cache)
    broken = {"keys": keys[..., :5, :], "values": values[..., :5, :]}
    broken[side] = mx.where(mx.arange(64) == 3, bad, broken[side])
    with pytest.raises(NonFiniteError):
        cache.update_and_fetch(broken["keys"], broken["values"])
    assert snapshot(cache) == before


def test_a_single_non_finite_token_is_refused_when_it_is_to_be_coded():
    cache = TurboQuantKVCache(SMALL)
    keys, values = keys_and_values(40)
    feed(cache, keys[..., :11, :], values[..., :11, :], [11])
    cache.update_and_fetch(keys[..., 11:12, :] * float("nan"), values[..., 11:12, :])
    with pytest.raises(NonFiniteError):
        feed(cache, keys[..., :28, :], values[..., :28, :], [1] * 28)
    assert cache.packed.length == 0


def test_a_head_dimension_without_rotation_is_refused():
    cache = TurboQuantKVCache(SMALL)
    keys, values = keys_and_values(10, head_dim=65)
    with pytest.raises(UnsupportedHeadDimError, match="65"):
        cache.update_and_fetch(keys, values)
    assert cache.empty()
    assert cache.offset == 0


def test_tokens_of_another_shape_are_refused():
    cache = TurboQuantKVCache(SMALL)
    cache.update_and_fetch(*keys_and_values(5))
    with pytest.raises(UnsupportedCacheError, match="heads=3"):
        cache.update_and_fetch(*keys_and_values(5, heads=3))
    assert cache.offset == 5


@given(tokens=st.integers(1, 60), trims=st.lists(st.integers(0, 70), max_size=3))
@settings(max_examples=40)
def test_trimming_across_all_borders_is_forgetting(tokens, trims):
    cache, model = TurboQuantKVCache(SMALL), KVCache()
    keys, values = keys_and_values(tokens)
    for target in (cache, model):
        target.update_and_fetch(keys, values)
    decoded = cache.keys_and_values()[0].decode()
    for count in trims:
        assert trim_prompt_cache([cache], count) == trim_prompt_cache([model], count)
        assert cache.offset == model.offset
        if cache.offset:
            assert mx.array_equal(cache.keys_and_values()[0].decode(), decoded[..., : cache.offset, :])
    more_keys, more_values = keys_and_values(30, seed=5)
    for target in (cache, model):
        target.update_and_fetch(more_keys, more_values)
    assert cache.offset == model.offset
    sink, expected = cache.keys_and_values()[0].sink, model.keys_and_values()[0][..., :3, :]
    assert mx.array_equal(sink, expected)


@pytest.mark.parametrize("tokens", [1, 2, 300])
@pytest.mark.parametrize("window", [None, 16])
def test_masks_are_those_of_mlx_lm(tokens, window):
    cache, model = TurboQuantKVCache(SMALL), KVCache()
    for target in (cache, model):
        target.update_and_fetch(*keys_and_values(37))
    ours = cache.make_mask(tokens, return_array=False, window_size=window)
    theirs = model.make_mask(tokens, return_array=False, window_size=window)
    assert type(ours) is type(theirs)
    assert ours == theirs if not isinstance(ours, mx.array) else mx.array_equal(ours, theirs)


@pytest.mark.parametrize("tokens", [0, 2, 12, 300])
def test_mlx_lms_own_files_keep_everything(tmp_path, preset, tokens):
    cache = TurboQuantKVCache(preset)
    if tokens:
        cache.update_and_fetch(*keys_and_values(tokens))
    save_prompt_cache(str(tmp_path / "cache.safetensors"), [cache], {"made": "by a test"})
    (again,), metadata = load_prompt_cache(str(tmp_path / "cache.safetensors"), return_metadata=True)
    assert metadata == {"made": "by a test"}
    assert type(again) is TurboQuantKVCache
    assert again.config == cache.config
    assert snapshot(again) == snapshot(cache)
    for target in (cache, again):
        target.update_and_fetch(*keys_and_values(200, seed=9))
    assert snapshot(again) == snapshot(cache)


@pytest.mark.parametrize("version", [None, 3, 5])
def test_a_state_of_another_version_is_refused(version):
    state = TurboQuantKVCache(SMALL).state | {"schema_version": version}
    with pytest.raises(UnsupportedCacheError, match=f"schema version {version}"):
        TurboQuantKVCache.from_state(state)


def test_a_copy_goes_its_own_way():
    cache = TurboQuantKVCache(SMALL)
    cache.update_and_fetch(*keys_and_values(40))
    twin, before = copy.deepcopy(cache), snapshot(cache)
    twin.update_and_fetch(*keys_and_values(40, seed=3))
    assert snapshot(cache) == before
    assert twin.offset == 80


def test_mlx_lm_would_not_take_it_for_its_own_quantized_cache():
    assert not hasattr(TurboQuantKVCache(SMALL), "bits")


@pytest.mark.parametrize("name", ["uniform_k4v4", "lloyd_k4v4", "equal_noise_k4v4"])
def test_four_bits_and_a_tail_take_at_most_three_tenths_of_a_16_bit_cache(name):
    """After a prompt of 4096 tokens and 64 more, both caches with the growth capacity that they allocate."""
    (config,) = TurboQuantConfig.from_preset(name).for_layers([1.0])
    compressed, dense = TurboQuantKVCache(config), KVCache()
    keys, values = keys_and_values(4160, heads=3, dtype=mx.bfloat16)
    for first, count in [
        *((first, 512) for first in range(0, 4096, 512)),
        *((first, 1) for first in range(4096, 4160)),
    ]:
        for cache in (compressed, dense):
            cache.update_and_fetch(keys[..., first : first + count, :], values[..., first : first + count, :])
    assert compressed.nbytes / dense.nbytes <= 0.30
