"""All layers or none, whatever fails and whenever; and no more memory than the dense cache and a little."""

import json
from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx
import pytest
from mlx_lm.models.cache import KVCache

from tq_core import MseCodec
from tq_mlx import TurboQuantConfig, TurboQuantKVCache, conversion, token_chunks, upgrade_cache_list
from vectors import keys_and_values

LAYERS = 4
CALLS = 2 * LAYERS  # keys and values of each layer, in one chunk


@dataclass(frozen=True)
class FailingCodec(MseCodec):
    """Raises at its n-th call."""

    raises: ClassVar[dict[int, BaseException]] = {}
    calls: ClassVar[list[int]] = []

    def quantize(self, y):
        self.calls.append(y.size)
        if len(self.calls) in self.raises:
            raise self.raises[len(self.calls)]
        return super().quantize(y)


@pytest.fixture(autouse=True)
def hold_nothing(monkeypatch):
    """Every layer is encoded in the rehearsal and again in the commit, as in long histories."""
    monkeypatch.setattr(conversion, "MOST_HELD", 0)


def config_with(raises=None):
    """Return a configuration whose codec raises at the calls named, counted from one."""
    FailingCodec.raises, FailingCodec.calls = raises or {}, []
    return TurboQuantConfig(FailingCodec(), FailingCodec(), tail_tokens=64)


def dense_list():
    cache = [KVCache() for _ in range(LAYERS)]
    for index, layer in enumerate(cache):
        layer.update_and_fetch(*keys_and_values(300, seed=index))
    return cache


def upgrade(cache, config, path=None):
    return upgrade_cache_list(cache, config=config, model_family="llama", events_path=path)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("call", [1, 2, 4, CALLS])
@pytest.mark.parametrize(
    "error", [MemoryError("no room"), RuntimeError("[malloc] Unable to allocate"), KeyboardInterrupt()], ids=repr
)
def test_a_failure_in_the_rehearsal_leaves_every_dense_cache_as_it_was(error, call, tmp_path):
    cache = dense_list()
    layers, truths = list(cache), [layer.keys_and_values() for layer in dense_list()]
    with pytest.raises(type(error)) as caught:
        upgrade(cache, config_with({call: error}), tmp_path / "events.jsonl")
    assert caught.value is error
    for now, then, (keys, values) in zip(cache, layers, truths, strict=True):
        assert now is then
        assert mx.array_equal(now.keys_and_values()[0], keys)
        assert mx.array_equal(now.keys_and_values()[1], values)
    (event,) = lines(tmp_path / "events.jsonl")
    assert (event["event"], event["error"], event["rollback"]) == ("failure", type(error).__name__, True)
    assert str(error) in event["message"]
    if not isinstance(error, KeyboardInterrupt):
        assert f"layer {(call - 1) // 2} could not be encoded" in event["message"]


@pytest.mark.parametrize("call", range(CALLS + 1, 2 * CALLS + 1))
def test_an_interrupt_in_the_commit_waits_until_every_layer_is_compressed(call, tmp_path):
    cache, plain = dense_list(), dense_list()
    interrupts = {call: KeyboardInterrupt(), call + 1: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        upgrade(cache, config_with(interrupts), tmp_path / "events.jsonl")
    upgrade(plain, config_with())
    assert [event["event"] for event in lines(tmp_path / "events.jsonl")] == ["upgrade"] * LAYERS
    for interrupted, other in zip(cache, plain, strict=True):
        assert type(interrupted) is TurboQuantKVCache
        for ours, theirs in zip(interrupted.keys_and_values(), other.keys_and_values(), strict=True):
            assert mx.array_equal(ours.decode(), theirs.decode())


@pytest.mark.parametrize("call", [CALLS + 1, CALLS + 4])
def test_a_machine_that_fails_in_the_commit_loses_no_token_and_says_what_is_compressed(call, tmp_path):
    cache = dense_list()
    with pytest.raises(MemoryError) as caught:
        upgrade(cache, config_with({call: MemoryError("taken meanwhile")}), tmp_path / "events.jsonl")
    done = (call - CALLS - 1) // 2
    assert f"{done} of {LAYERS} layers are compressed" in caught.value.__notes__[0]
    assert [type(layer) for layer in cache] == [TurboQuantKVCache] * done + [KVCache] * (LAYERS - done)
    assert {layer.offset for layer in cache} == {300}
    (event,) = lines(tmp_path / "events.jsonl")
    assert event["rollback"] is (done == 0)
    upgrade(cache, config_with())
    assert [type(layer) for layer in cache] == [TurboQuantKVCache] * LAYERS


def test_codes_that_fit_are_encoded_once(monkeypatch):
    cache, plain, config = dense_list(), dense_list(), config_with()
    upgrade(plain, config)
    assert len(FailingCodec.calls) == 2 * CALLS
    FailingCodec.calls.clear()
    monkeypatch.setattr(conversion, "MOST_HELD", 3 * plain[0].nbytes)
    upgrade(cache, config)
    assert len(FailingCodec.calls) == CALLS + 2 * (LAYERS - 3)
    for layer, other in zip(cache, plain, strict=True):
        for ours, theirs in zip(layer.keys_and_values(), other.keys_and_values(), strict=True):
            assert mx.array_equal(ours.decode(), theirs.decode())


def test_memory_is_bounded_by_a_chunk_not_by_the_history_and_dense_layers_are_freed(monkeypatch):
    values = 1 << 15
    monkeypatch.setattr(token_chunks, "MOST_VALUES", values)
    cache = [KVCache(), KVCache()]
    mx.eval([layer.update_and_fetch(*keys_and_values(2048, dtype=mx.bfloat16)) for layer in cache])
    dense = sum(layer.nbytes for layer in cache)
    mx.clear_cache()
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    upgrade_cache_list(cache, config=TurboQuantConfig.from_preset("lloyd_k4v4"), model_family="llama")
    compressed = sum(layer.nbytes for layer in cache)
    # Encoding 2048 tokens of a layer at once takes 60 MB; a chunk of 256 takes an eighth.
    assert mx.get_peak_memory() - before < 3 * compressed + 80 * 4 * values < 16e6
    assert mx.get_active_memory() - before < compressed - dense + 4 * values
