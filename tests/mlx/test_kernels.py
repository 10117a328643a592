"""The fused kernels' text equals plain attention over the decoded history: by the executor, on a CPU, and on a GPU.

The executor compiles the very Metal source that ships, and the CUDA source less its instructions. It is no Mac and no
NVIDIA GPU: where MLX has one, the same tests run on it too, and there each kernel's trial and the certification's
kernel stage say the same.
"""

from dataclasses import dataclass

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_executor.executor import run_by_executor
from tq_core import Codec, MseCodec, UniformCodec
from tq_mlx import TurboQuantConfig, TurboQuantKVCache
from tq_mlx.kernels.fused import fused_attention
from tq_mlx.kernels.launch import INPUTS, Pass, Run, run_on
from tq_mlx.kernels.variant import Variant
from tq_mlx.kernels.work import TUNING, Lengths, Tuning
from tq_mlx.views import TurboQuantKeysView, TurboQuantValuesView


@dataclass(frozen=True)
class Case:
    keys: Codec
    values: Codec
    head_dim: int
    dtype: mx.Dtype
    block: int | None
    heads: tuple[int, int]

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("mlx.core.")
        return f"{self.keys.label}, {self.values.label}, {self.head_dim}, {dtype}".replace(" ", "")


CASES = [
    Case(UniformCodec(bits=4), UniformCodec(bits=4), 128, mx.bfloat16, 64, (8, 2)),
    Case(MseCodec(bits=4), MseCodec(bits=3), 64, mx.float32, 16, (3, 1)),
    Case(MseCodec(bits=5), UniformCodec(bits=6), 64, mx.float16, None, (2, 2)),
    Case(UniformCodec(bits=3), UniformCodec(bits=2), 128, mx.float32, 64, (4, 1)),
    Case(UniformCodec(bits=8), MseCodec(bits=5), 256, mx.bfloat16, 32, (2, 1)),
    Case(MseCodec(bits=4), MseCodec(bits=3), 128, mx.bfloat16, 64, (4, 1)),
    Case(MseCodec(bits=3), MseCodec(bits=2), 64, mx.float16, 64, (2, 1)),
    Case(MseCodec(bits=6), UniformCodec(bits=3), 128, mx.bfloat16, 64, (4, 1)),
]

SEGMENTS = [(4, 16, 16), (0, 0, 1), (4, 0, 16), (0, 100, 64)]
"""Tokens of sink and tail, and those coded at a time."""

ROUNDING = {mx.bfloat16: 2**-9, mx.float16: 2**-12, mx.float32: 0.0}
"""What rounding the result takes from it at most."""

TOLERANCE = {mx.bfloat16: 2e-3, mx.float16: 2e-3, mx.float32: 1e-4}
"""The largest error otherwise, in units of the largest output."""

HERE = "metal" if mx.metal.is_available() else "cuda"
PLACES = ("cuda", "metal", *(["gpu"] if mx.default_device().type == mx.gpu else []))
"""The executor of a dialect, or this machine's GPU."""


def run_at(place: str) -> Run:
    return run_on(HERE) if place == "gpu" else run_by_executor(place)


def tuning_at(place: str) -> Tuning:
    return TUNING[HERE if place == "gpu" else place]


def views(case: Case, batch: int, tokens: int, length: int, segments: tuple[int, int, int], seed: int):
    """Return what a cache hands out after a prompt and ``length`` new tokens."""
    sink, tail, step = segments
    config = TurboQuantConfig(
        case.keys, case.values, center_block=case.block, sink_tokens=sink, tail_tokens=tail, block_tokens=step
    )
    cache = TurboQuantKVCache(config)
    shape = (batch, case.heads[1], tokens, case.head_dim)
    key = mx.random.split(mx.random.key(seed), 3)
    drift = mx.sin(mx.arange(tokens) / 50)[:, None] * mx.random.normal((case.head_dim,), key=key[2])
    keys = (mx.random.normal(shape, key=key[0]) + 2 * drift).astype(case.dtype)
    values = mx.random.normal(shape, key=key[1]).astype(case.dtype)
    if tokens > length:
        cache.update_and_fetch(keys[..., :-length, :], values[..., :-length, :])
    return cache.update_and_fetch(keys[..., -length:, :], values[..., -length:, :])


def queries_for(case: Case, batch: int, length: int, seed: int) -> mx.array:
    shape = (batch, case.heads[0], length, case.head_dim)
    return (0.7 * mx.random.normal(shape, key=mx.random.key(seed + 1))).astype(case.dtype)


def attend(place: str, case: Case, q: mx.array, keys, values, *, run=None, **rest) -> mx.array:
    block = keys.centre.block if keys.centre and keys.centre.deviations else None
    variant = Variant.of(case.keys, case.values, (case.head_dim, case.head_dim), block, case.dtype)
    scale = case.head_dim**-0.5
    run = run or run_at(place)
    return fused_attention(variant, q, keys, values, **{"scale": scale, "run": run, "tuning": tuning_at(place)} | rest)


def history(view: TurboQuantKeysView | TurboQuantValuesView, row: int, lengths: Lengths) -> np.ndarray:
    """Return one row's decoded history [H, T, D], float64."""
    sink, packed, tail, _ = lengths
    coded = view.codec.decode(view.code)[..., : view.packed, :]
    if view.centre is not None:
        coded = coded + view.centre.at(0, view.packed)
    parts = [(view.sink, sink), (coded, packed), (view.tail, tail)]
    live = [np.array(part[row, :, :count].astype(mx.float32), np.float64) for part, count in parts if part is not None]
    return np.concatenate(live, axis=1)


def plain_attention(q: mx.array, keys, values, causal: bool, lengths: tuple[Lengths, ...]) -> np.ndarray:
    """Return attention over the decoded history in float64, by its definition."""
    out = np.zeros(q.shape)
    for row, of_row in enumerate(lengths):
        k, v = history(keys, row, of_row), history(values, row, of_row)
        tokens, group, length = k.shape[1], q.shape[1] // k.shape[0], q.shape[2]
        seen = np.arange(tokens) <= tokens - length + np.arange(length)[:, None] if causal else True
        for head in range(q.shape[1]):
            query = np.array(q[row, head].astype(mx.float32), np.float64)
            scores = np.where(seen, query @ k[head // group].T * q.shape[3] ** -0.5, -np.inf)
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            out[row, head] = weights @ v[head // group] / weights.sum(axis=-1, keepdims=True)
    return out


def assert_equal(found: mx.array, wanted: np.ndarray) -> None:
    error = np.abs(np.array(found.astype(mx.float32), np.float64) - wanted) - ROUNDING[found.dtype] * np.abs(wanted)
    assert error.max() <= TOLERANCE[found.dtype] * np.abs(wanted).max()


def same_lengths(keys: TurboQuantKeysView) -> tuple[Lengths, ...]:
    sink, tail = (0 if side is None else side.shape[2] for side in (keys.sink, keys.tail))
    return ((sink, keys.packed, tail, 0),) * keys.shape[0]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=8)
@given(data=st.data())
def test_the_kernel_equals_plain_attention(place, case, data):
    segments = data.draw(st.sampled_from(SEGMENTS))
    batch, length = data.draw(st.integers(1, 2)), data.draw(st.sampled_from([1, 1, 2, 5, 8]))
    least = sum(segments) + length  # one token coded at least
    tokens = data.draw(st.integers(least, least + 40) | st.integers(least, least + 600))
    seed, causal = data.draw(st.integers(0, 99)), data.draw(st.booleans())
    keys, values = views(case, batch, tokens, length, segments, seed)
    q = queries_for(case, batch, length, seed)
    one_launch = tuning_at(place).one_launch and data.draw(st.booleans())
    tuning = Tuning(threadgroups=data.draw(st.sampled_from([1, 8, 64, 264])), one_launch=one_launch)
    found = attend(place, case, q, keys, values, causal=causal, tuning=tuning)
    assert_equal(found, plain_attention(q, keys, values, causal, same_lengths(keys)))


@pytest.mark.parametrize("place", PLACES)
def test_rows_of_a_batch_may_differ_in_length(place):
    case = CASES[0]
    keys, values = views(case, 3, 420, 1, (4, 16, 16), 7)
    lengths = (same_lengths(keys)[0], (4, 130, 5, 0), (2, 1, 0, 0))
    q = queries_for(case, 3, 1, 7)
    found = attend(place, case, q, keys, values, causal=False, lengths=lengths)
    assert_equal(found, plain_attention(q, keys, values, False, lengths))


@pytest.mark.parametrize("place", PLACES)
def test_a_window_that_moved_keeps_its_blocks(place):
    case = CASES[0]
    keys, values = (view.newest(301) for view in views(case, 1, 420, 1, (4, 16, 16), 8))
    assert keys.centre.gone
    q = queries_for(case, 1, 1, 8)
    found = attend(place, case, q, keys, values, causal=False)
    assert_equal(found, plain_attention(q, keys, values, False, same_lengths(keys)))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", [1e-25, 1e-6, 1e6, 1e30])
def test_no_size_of_keys_and_values_is_too_large_or_small(place, size):
    case = CASES[1]
    keys, values = views(case, 1, 90, 1, (4, 16, 16), 9)

    def scaled(view, by):
        code = view.code.map(lambda a: a if a.dtype == mx.uint32 else (a * by).astype(a.dtype))
        return type(view)(**(vars(view) | {"code": code, "centre": None, "sink": None, "tail": view.tail * by}))

    keys, values = scaled(keys, 1.0), scaled(values, size)
    q = queries_for(case, 1, 1, 9)
    found = attend(place, case, q, keys, values, causal=False)
    assert_equal(found, plain_attention(q, keys, values, False, ((0, keys.packed, keys.tail.shape[2], 0),)))


def test_a_growing_history_compiles_nothing_anew_and_copies_nothing():
    case, calls = CASES[0], list[Pass]()

    def run(call: Pass, inputs: list[mx.array]) -> list[mx.array]:
        calls.append(call)
        given = dict(zip(INPUTS[call.entry], inputs, strict=True))
        assert given["key_words"] is keys.code.words
        assert given["tail_values"] is values.tail
        return [mx.zeros(shape, dtype=dtype) for shape, dtype in zip(call.shapes, call.dtypes, strict=True)]

    for tokens in (100, 700, 3000):
        keys, values = views(case, 1, tokens, 1, (4, 16, 16), 0)
        attend("cuda", case, queries_for(case, 1, 1, 0), keys, values, causal=False, run=run)
    assert len({(call.entry, call.constants) for call in calls}) == 1
