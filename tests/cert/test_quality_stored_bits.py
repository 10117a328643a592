"""Stored bits per value: the formulas of mlx-lm's caches, and the bytes of our own arrays."""

import mlx.core as mx
import pytest
from mlx_lm.models.cache import KVCache, QuantizedKVCache, RotatingKVCache

from tq_cert.lanes.quality.stored_bits import stored_bits
from tq_mlx import TurboQuantConfig, TurboQuantKVCache

DIM = 64


def filled(cache, tokens: int, dtype: mx.Dtype = mx.float32, dim: int = DIM):
    for start in range(0, tokens, 100):  # in several steps, so that buffers grow
        shape = (1, 2, min(100, tokens - start), dim)
        cache.update_and_fetch(mx.random.normal(shape).astype(dtype), mx.random.normal(shape).astype(dtype))
    return cache


@pytest.mark.parametrize("tokens", [1, 130, 300])
def test_dense(tokens: int) -> None:
    for cache in (KVCache(), RotatingKVCache(max_size=512)):
        bits = stored_bits([filled(cache, tokens)])
        assert (bits.model16, bits.as_run) == (16.0, 32.0)
    assert stored_bits([filled(KVCache(), tokens, mx.bfloat16)]).as_run == 16.0


@pytest.mark.parametrize(("bits", "group"), [(4, 64), (8, 64), (4, 32), (3, 64)])
def test_mlx_quantized(bits: int, group: int) -> None:
    cache = filled(QuantizedKVCache(group_size=group, bits=bits), 130)
    found = stored_bits([cache])
    assert found.model16 == bits + 32 / group  # one 16-bit scale and bias for each group
    assert found.as_run == bits + 64 / group
    assert (
        stored_bits([filled(QuantizedKVCache(group_size=group, bits=bits), 130, mx.bfloat16)]).as_run == found.model16
    )


@pytest.mark.parametrize("preset", ["paper_mse", "uniform_k4v4", "lloyd_k4v4"])
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16])
def test_ours_is_the_live_bytes_of_every_array(preset: str, dtype: mx.Dtype) -> None:
    cache = filled(TurboQuantKVCache(TurboQuantConfig.from_preset(preset)), 400, dtype)
    lengths = dict(zip(("sink", "packed", "tail"), cache.state["lengths"], strict=True))
    assert lengths["packed"] > 200
    live = dict.fromkeys(lengths, 0)
    for name, length in lengths.items():
        for side in cache.state[name]:
            for array in side.values() if isinstance(side, dict) else [side] if side is not None else []:
                live[name] += array.nbytes // array.shape[-2] * length
    mean = cache.centre.nbytes if cache.centre else 0
    values = 2 * 2 * DIM * 400
    found = stored_bits([cache])
    assert found.as_run == pytest.approx(8 * (sum(live.values()) + mean) / values, rel=1e-12)
    shrink = 16 / (8 * dtype.size)
    model16 = live["packed"] + mean + shrink * (live["sink"] + live["tail"])
    assert found.model16 == pytest.approx(8 * model16 / values, rel=1e-12)


def test_layers_weigh_by_their_values() -> None:
    dense, coded = filled(KVCache(), 300), filled(QuantizedKVCache(bits=4), 100)
    assert stored_bits([dense, coded]).model16 == (3 * 16 + 4.5) / 4
