"""What a decode step does besides attention does not grow with the context: no Python, no copies, no spare memory."""

import sys
from collections.abc import Callable

import mlx.core as mx
import pytest

from tq_mlx import TurboQuantConfig, TurboQuantKVCache, streaming_attention
from tq_mlx.kernels import choose

CONTEXTS = (1000, 2000, 8000)
HEADS, HEAD_DIM = 2, 128


def tokens(count: int, seed: int) -> mx.array:
    return mx.random.normal((1, HEADS, count, HEAD_DIM), key=mx.random.key(seed)).astype(mx.bfloat16)


def filled(context: int) -> TurboQuantKVCache:
    """A cache whose next steps code nothing: its tail has just been cut to its least."""
    cache = TurboQuantKVCache(TurboQuantConfig.from_preset("lloyd_k4v4"))
    cache.load_history(tokens(context, 0), tokens(context, 1))
    while cache.tail.length != cache.config.tail_tokens + 1:
        step(cache)
    mx.eval(cache.state)
    return cache


def step(cache: TurboQuantKVCache) -> None:
    cache.update_and_fetch(tokens(1, 2), tokens(1, 3))
    mx.eval(cache.state)


def calls_of(work: Callable[[], object]) -> int:
    """How many functions, Python's and MLX's, are called."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU whose kernels give zeros at once: what is left of attention is what Python does for it."""

    def zeros(call, inputs):
        return [mx.zeros(shape, dtype=dtype) for shape, dtype in zip(call.shapes, call.dtypes, strict=True)]

    monkeypatch.setattr(choose, "dialect", lambda: "cuda")
    monkeypatch.setattr(choose, "run_on", lambda language: zeros)
    monkeypatch.setattr(choose, "passes", lambda *_: True)


def test_a_step_calls_as_many_functions_at_every_length(gpu: None) -> None:
    queries = mx.zeros((1, 4, 1, HEAD_DIM), dtype=mx.bfloat16)
    counts = []
    for context in CONTEXTS:
        cache = filled(context)
        step(cache)  # what is remembered between steps is remembered now

        def decode(cache=cache) -> mx.array:
            return streaming_attention(queries, *cache.update_and_fetch(tokens(1, 2), tokens(1, 3)), scale=0.1)

        decode()
        counts.append(calls_of(decode))
    assert counts[0] > 0
    assert len(set(counts)) == 1


def test_a_step_allocates_as_much_at_every_length() -> None:
    spare = []
    for context in CONTEXTS:
        cache = filled(context)
        step(cache)
        mx.clear_cache()
        before = mx.get_active_memory()
        mx.reset_peak_memory()
        step(cache)
        spare.append(mx.get_peak_memory() - before)
    assert max(spare) - min(spare) < cache.memory()["packed"].nbytes / 100
