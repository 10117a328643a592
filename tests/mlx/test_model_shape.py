"""Shapes learnt from mlx-lm's models without weights, against the same models with them."""

import importlib
from dataclasses import asdict

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

from tq_mlx import ConfigError, UnsupportedCacheError
from tq_mlx.model_shape import Fixed, Growing, Window, model_shape, parts_of
from tq_mlx.planned_segments import arrivals

COMMON = {"hidden_size": 64, "num_hidden_layers": 4, "intermediate_size": 64, "vocab_size": 96, "rms_norm_eps": 1e-5}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}
CONFIGS = {
    "llama": COMMON | HEADS,
    "qwen2": COMMON | {"num_attention_heads": 4, "num_key_value_heads": 2},
    "gemma2": COMMON | HEADS,
    "gemma3_text": COMMON | HEADS | {"sliding_window": 40, "sliding_window_pattern": 3},
    "mamba2": COMMON
    | {"num_heads": 4, "head_dim": 32, "state_size": 16, "layer_norm_epsilon": 1e-5, "conv_kernel": 4, "n_groups": 1}
    | {"use_bias": False, "use_conv_bias": True, "tie_word_embeddings": True, "time_step_limit": [0.0, 1e9]}
    | {"time_step_rank": 4, "ssm_state_size": 16},
    "deepseek_v3": COMMON | {"num_attention_heads": 4, "num_key_value_heads": 4},
}
LLAMA_70B = {
    "model_type": "llama",
    "hidden_size": 8192,
    "num_hidden_layers": 80,
    "intermediate_size": 28672,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}


@pytest.mark.parametrize("tokens", [1, 2, 39, 41, 300, 700])
@pytest.mark.parametrize("model_type", CONFIGS)
def test_dense_bytes_equal_those_of_the_real_model(model_type, tokens):
    config = CONFIGS[model_type] | {"model_type": model_type, "torch_dtype": "float32"}
    module = importlib.import_module(f"mlx_lm.models.{model_type}")
    model = module.Model(module.ModelArgs.from_dict(config))
    caches = make_prompt_cache(model)
    for count in arrivals(tokens):
        model(mx.zeros((1, count), mx.int32), cache=caches)
    shape = model_shape(config)
    assert [layer.bytes_at(tokens) for layer in shape.layers] == [cache.nbytes for cache in caches]
    assert [layer.cache for layer in shape.layers] == [type(cache).__name__ for cache in caches]


@given(tokens=st.integers(1, 9000), window=st.sampled_from([None, 1, 100, 256, 512, 2048, 4096, 5000]))
def test_dense_caches_grow_as_said(tokens, window):
    cache = KVCache() if window is None else RotatingKVCache(max_size=window)
    for count in arrivals(tokens):
        cache.update_and_fetch(mx.zeros((1, 3, count, 8)), mx.zeros((1, 3, count, 16)))
    (part,) = parts_of(0, cache)
    assert type(part) is (Growing if window is None else Window)
    assert part.bytes_at(tokens) == cache.nbytes


def test_kinds_of_layers():
    assert [type(layer.parts[0]) for layer in model_shape(CONFIGS["mamba2"] | {"model_type": "mamba2"}).layers] == [
        Fixed
    ] * 4
    shape = model_shape(CONFIGS["gemma3_text"] | {"model_type": "gemma3_text"})
    assert [type(layer.parts[0]) for layer in shape.layers] == [Window, Window, Growing, Window]


@pytest.mark.parametrize(
    ("named", "dtype", "size"),
    [
        ({}, "bfloat16", 2),
        ({"torch_dtype": "float16"}, "float16", 2),
        ({"dtype": "float32"}, "float32", 4),
        ({"dtype": "auto"}, "bfloat16", 2),
    ],
)
def test_the_dtype_is_the_configurations(named, dtype, size):
    shape = model_shape(CONFIGS["llama"] | {"model_type": "llama"} | named)
    assert shape.dtype == dtype
    assert shape.layers[0].parts == (Growing(heads=2, key_dim=32, value_dim=32, item_bytes=size),)


def test_a_large_model_takes_no_memory():
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    shape = model_shape(LLAMA_70B)
    assert mx.get_peak_memory() - before < 1_000_000
    assert shape.max_context == 131072
    # 80 layers, 8 heads, keys and values of 128, two bytes
    assert sum(layer.bytes_at(131072) for layer in shape.layers) == 80 * 8 * 2 * 128 * 2 * 131072


def test_random_numbers_go_on_as_if_nothing_had_happened():
    mx.random.seed(5)
    expected = mx.random.uniform(shape=(8,))
    mx.random.seed(5)
    model_shape(CONFIGS["llama"] | {"model_type": "llama"})
    assert mx.array_equal(mx.random.uniform(shape=(8,)), expected)


def test_a_text_part_is_looked_into(tiny_gemma):
    text = asdict(tiny_gemma.args) | {"max_position_embeddings": 777, "torch_dtype": "float16"}
    shape = model_shape({"model_type": "gemma3", "text_config": text, "vocab_size": 96})
    assert (shape.model_type, shape.max_context, shape.dtype) == ("gemma3", 777, "float16")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "model_type"),
        ({"model_type": "no_such_model"}, "no_such_model"),
        ({"model_type": "llama"}, "hidden_size"),
        (CONFIGS["llama"] | {"model_type": "llama", "hidden_size": "wide"}, "'llama'"),
        ({"model_type": "llama", "model_file": "mine.py"}, "mine.py"),
    ],
)
def test_what_is_no_model_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        model_shape(config)


def test_a_cache_of_unknown_growth_is_refused():
    chunked = importlib.import_module("mlx_lm.models.cache").ChunkedKVCache(chunk_size=64)
    with pytest.raises(UnsupportedCacheError, match="layer 3 holds a ChunkedKVCache"):
        parts_of(3, chunked)
