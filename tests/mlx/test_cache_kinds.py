"""Every class of mlx-lm's own cache module has a defined outcome, and gets it."""

import inspect

import mlx.core as mx
import pytest
from mlx_lm.models import cache as upstream
from mlx_lm.models import deepseek_v3
from mlx_lm.models.cache import (
    ArraysCache,
    BatchKVCache,
    BatchRotatingKVCache,
    CacheList,
    ChunkedKVCache,
    ConcatenateKVCache,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
    make_prompt_cache,
)

from tq_mlx import (
    TurboQuantConfig,
    TurboQuantKVCache,
    UnsupportedAttentionError,
    UnsupportedCacheError,
    status,
    upgrade_cache_list,
)
from tq_mlx.cache_kinds import KINDS
from vectors import keys_and_values

CONFIG = TurboQuantConfig.from_preset("lloyd_k4v4")


def filled(cache, **shape):
    cache.update_and_fetch(*keys_and_values(300, **shape))
    return cache


def recurrent():
    cache = ArraysCache(2)
    cache[0] = mx.ones((1, 4, 8))
    return cache


LEFT = {
    "sliding-window": lambda: filled(RotatingKVCache(max_size=32)),
    "sliding-window layer": lambda: filled(BatchRotatingKVCache(32, [0, 3]), batch=2),
    "chunked attention": lambda: filled(ChunkedKVCache(64)),
    "recurrent state": recurrent,
}
REFUSED = {
    "QuantizedKVCache: .*without kv_bits": lambda: filled(QuantizedKVCache(64, 4)),
    "BatchKVCache: .*before they are merged": lambda: filled(BatchKVCache([0, 3]), batch=2),
    "CacheList: .*leave this model's cache dense": lambda: CacheList(filled(KVCache()), filled(KVCache())),
    "ConcatenateKVCache: .*make_prompt_cache": lambda: filled(ConcatenateKVCache()),
    "Stranger: .*only its KVCache": lambda: filled(type("Stranger", (KVCache,), {})()),
}


def test_the_table_names_every_kind_that_mlx_lm_has():
    caches = {
        cls
        for cls in vars(upstream).values()
        if inspect.isclass(cls) and issubclass(cls, upstream._BaseCache) and cls.__module__ == upstream.__name__
    }
    assert caches - {upstream._BaseCache} == set(KINDS)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("says", LEFT)
def test_bounded_and_recurrent_layers_are_left_and_the_event_and_the_status_say_why(says, empty):
    left = LEFT[says]()
    if empty:
        left = type(left)(*{RotatingKVCache: (32,), BatchRotatingKVCache: (32, [0, 3])}.get(type(left), (2,)))
    cache = [left, filled(KVCache())]
    before = left.nbytes
    skipped, done = upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    assert cache[0] is left
    assert left.nbytes == before
    assert type(cache[1]) is TurboQuantKVCache
    assert (skipped.compressed, done.compressed) == (False, True)
    assert says in skipped.reason
    assert (skipped.old_bytes, skipped.new_bytes) == (before, before)
    layer = status(cache).layers[0]
    assert (layer.realised, layer.reason, layer.offset) == ("dense", skipped.reason, skipped.offset)


@pytest.mark.parametrize("says", REFUSED)
def test_other_kinds_are_refused_with_a_remedy_and_every_layer_kept(says):
    cache = [filled(KVCache()), REFUSED[says]()]
    layers = list(cache)
    with pytest.raises(UnsupportedCacheError, match=f"layer 1 holds a {says}"):
        upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    assert all(now is then for now, then in zip(cache, layers, strict=True))


def test_a_list_without_a_layer_to_compress_is_refused_not_passed_over():
    cache = [RotatingKVCache(max_size=32, keep=4), RotatingKVCache(max_size=32, keep=4)]
    with pytest.raises(UnsupportedCacheError, match=r"rotating cache.*max_kv_size"):
        upgrade_cache_list(cache, config=CONFIG, model_family="llama")


@pytest.fixture(scope="module")
def tiny_mla():
    mx.random.seed(5)
    args = deepseek_v3.ModelArgs(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=64,
        moe_intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        n_routed_experts=2,
        num_experts_per_tok=1,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=2,
        kv_lora_rank=64,
        q_lora_rank=None,
        qk_rope_head_dim=32,
        v_head_dim=32,
        qk_nope_head_dim=32,
    )
    model = deepseek_v3.Model(args)
    mx.eval(model.parameters())
    return model


def test_latents_in_a_plain_cache_are_recognised_and_refused(tiny_mla):
    cache = make_prompt_cache(tiny_mla)
    assert {type(layer) for layer in cache} == {KVCache}
    mx.eval(tiny_mla(mx.arange(40)[None] % 64, cache=cache))
    with pytest.raises(UnsupportedCacheError, match=r"layer 0.*64 and values of 32.*latent"):
        upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    assert {type(layer) for layer in cache} == {KVCache}


def test_latents_in_a_cache_that_was_empty_are_refused_at_the_first_token(tiny_mla):
    cache = make_prompt_cache(tiny_mla)
    upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    with pytest.raises((UnsupportedAttentionError, UnsupportedCacheError)):
        mx.eval(tiny_mla(mx.array([[1]]), cache=cache))
