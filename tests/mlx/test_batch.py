"""A batch of compressed rows gives what each row gives alone: in mlx-lm's batch generator, padded left and right."""

import contextlib
import importlib
from dataclasses import replace

import mlx.core as mx
import pytest
from mlx_lm.generate import BatchGenerator
from mlx_lm.models import gemma2
from mlx_lm.models.cache import BatchRotatingKVCache, KVCache, make_prompt_cache

from lively_llama import VOCABULARY, lively_llama
from tq_core import NonFiniteError
from tq_mlx import (
    BatchTurboQuantKVCache,
    TurboQuantConfig,
    TurboQuantKVCache,
    UnsupportedAttentionError,
    UnsupportedCacheError,
    status,
    upgrade_cache_list,
)
from vectors import keys_and_values

CONFIG = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), tail_tokens=16, block_tokens=8, preset=None)
LENGTHS = (5, 140, 60, 1)
PROMPTS = [[(3 + 7 * row + 11 * place * place) % VOCABULARY for place in range(n)] for row, n in enumerate(LENGTHS)]


@pytest.fixture(scope="module")
def lively():
    return lively_llama()


def compressed_caches(model):
    cache = make_prompt_cache(model)
    upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    return cache


def generate(model, prompts, make_cache, *, max_tokens=40):
    """Return each prompt's greedy tokens and log-probabilities, and every batched cache list seen."""
    generator = BatchGenerator(model, max_tokens=max_tokens, prefill_step_size=32, prefill_batch_size=2)
    uids = generator.insert(prompts, caches=[make_cache(model) for _ in prompts])
    tokens, scores, sizes = {uid: [] for uid in uids}, {uid: [] for uid in uids}, set()
    while True:
        prompt_responses, responses = generator.next()
        if not prompt_responses and not responses:
            break
        for response in responses:
            tokens[response.uid].append(response.token)
            scores[response.uid].append(response.logprobs)
        sizes.add(len(generator._generation_batch))
    return [tokens[uid] for uid in uids], [mx.stack(scores[uid]) for uid in uids], max(sizes)


def assert_rows_equal_singles(model, make_cache=compressed_caches):
    batched, scores, most = generate(model, PROMPTS, make_cache)
    assert most == len(PROMPTS)  # they really ran side by side
    for prompt, tokens, logprobs in zip(PROMPTS, batched, scores, strict=True):
        (alone,), (truth,), _ = generate(model, [prompt], make_cache)
        assert tokens == alone
        assert mx.abs(logprobs - truth).max().item() < 1e-4
    assert len({tuple(tokens) for tokens in batched}) == len(PROMPTS)


def test_rows_of_a_batch_equal_single_runs(lively):
    assert_rows_equal_singles(lively)


def test_codes_were_read_in_the_batch(lively):
    caches = []

    def recorded(model):
        caches.append(compressed_caches(model))
        return caches[-1]

    compressed = generate(lively, PROMPTS, recorded)[1]
    dense = generate(lively, PROMPTS, make_prompt_cache)[1]
    differences = [mx.abs(a[:3] - b[:3]).max().item() for a, b in zip(compressed, dense, strict=True)]
    assert differences[1] > 1e-3  # the long prompt is coded
    assert differences[3] < 1e-4  # one token is not: it lies in the sink


def test_rows_of_gemma_2_equal_single_runs():
    mx.random.seed(9)
    args = gemma2.ModelArgs(
        model_type="gemma2",
        hidden_size=64,
        num_hidden_layers=2,
        intermediate_size=64,
        num_attention_heads=4,
        head_dim=64,
        rms_norm_eps=1e-6,
        vocab_size=VOCABULARY,
        num_key_value_heads=2,
        attn_logit_softcapping=2.0,
        query_pre_attn_scalar=1.0,
    )
    model = gemma2.Model(args)
    model.update({"model": {"embed_tokens": {"weight": 0.5 * mx.random.normal((VOCABULARY, 64))}}})
    batched = [BatchTurboQuantKVCache.merge([TurboQuantKVCache(CONFIG) for _ in range(2)]) for _ in model.layers]
    tokens = mx.array([PROMPTS[1][:60], PROMPTS[2]])
    for first, size in ((0, 40), (40, 19), (59, 1)):
        logits = model(tokens[:, first : first + size], cache=batched)
    for row in range(2):
        alone = [TurboQuantKVCache(CONFIG) for _ in model.layers]
        for first, size in ((0, 40), (40, 19), (59, 1)):
            truth = model(tokens[row : row + 1, first : first + size], cache=alone)
        assert alone[0].reads.count
        assert mx.abs(logits[row] - truth[0]).max().item() < 1e-4


def test_sliding_windows_stay_dense_beside_compressed_rows(tiny_gemma):
    def caches(model):
        cache = make_prompt_cache(model)
        upgrade_cache_list(cache, config=CONFIG, model_family="gemma")
        return cache

    merged = [
        type(layer).merge([layer]) if isinstance(layer, TurboQuantKVCache) else layer.merge([layer])
        for layer in caches(tiny_gemma)
    ]
    assert {type(layer) for layer in merged} == {BatchTurboQuantKVCache, BatchRotatingKVCache}
    batched, scores, _ = generate(tiny_gemma, PROMPTS, caches)
    for prompt, tokens, logprobs in zip(PROMPTS, batched, scores, strict=True):
        (alone,), (truth,), _ = generate(tiny_gemma, [prompt], caches)
        assert tokens == alone
        assert mx.abs(logprobs - truth).max().item() < 1e-4


def test_padding_on_the_left_is_left_out(lively):
    longest = max(LENGTHS)
    padding = [longest - length for length in LENGTHS]
    tokens = mx.array([[0] * pad + prompt for pad, prompt in zip(padding, PROMPTS, strict=True)])
    batched = [layer.merge([layer] * len(PROMPTS)) for layer in compressed_caches(lively)]
    for layer in batched:
        layer.prepare(left_padding=padding)
    assert batched[0].offset.tolist() == [-pad for pad in padding]
    for first in range(0, longest, 50):
        logits = lively(tokens[:, first : first + 50], cache=batched)
    assert batched[0].offset.tolist() == list(LENGTHS)
    for row, prompt in enumerate(PROMPTS):
        alone = compressed_caches(lively)
        starts = sorted({0, *(first - padding[row] for first in range(0, longest, 50) if first > padding[row])})
        for start, stop in zip(starts, [*starts[1:], len(prompt)], strict=True):
            truth = lively(mx.array([prompt[start:stop]]), cache=alone)
        assert mx.abs(logits[row, -1] - truth[0, -1]).max().item() < 1e-4


@pytest.mark.parametrize("kind", ["boolean", "additive", "by head"])
def test_masks_of_the_padded_columns_reach_each_rows_own_tokens(kind):
    """An array of the columns of mlx-lm's batched cache, in which every row ends at the same one."""
    lengths, heads = (60, 90), 2
    rows, singles = [], []
    for seed, length in enumerate(lengths):
        rows.append(TurboQuantKVCache(CONFIG))
        rows[-1].update_and_fetch(*keys_and_values(length, seed=seed))
        singles.append(rows[-1].snapshot())
    batch = BatchTurboQuantKVCache.merge(rows)
    new = keys_and_values(5, batch=2, seed=7)
    allowed = mx.random.uniform(shape=(2, heads if kind == "by head" else 1, 5, 95), key=mx.random.key(3)) < 0.7
    allowed = allowed | (mx.arange(95) == 40)  # no query without a token
    mask = mx.where(allowed, 0.0, -1e9) if kind == "additive" else allowed
    queries = mx.random.normal((2, heads, 5, 64), key=mx.random.key(4))
    attend = importlib.import_module("mlx_lm.models.base").scaled_dot_product_attention
    out = attend(queries, *batch.update_and_fetch(*new), batch, 0.125, mask)
    for row, (cache, length) in enumerate(zip(singles, lengths, strict=True)):
        views = cache.update_and_fetch(*(side[row : row + 1] for side in new))
        alone = attend(queries[row : row + 1], *views, cache, 0.125, mask[row : row + 1, ..., 90 - length :])
        assert mx.abs(out[row] - alone[0]).max().item() < 1e-6


def test_nan_in_one_row_changes_no_row():
    batch = BatchTurboQuantKVCache.merge([TurboQuantKVCache(CONFIG) for _ in range(2)])
    keys, values = keys_and_values(40, batch=2)
    batch.update_and_fetch(keys, values)
    broken = mx.concatenate([keys[:1], mx.full(keys[1:].shape, mx.nan)])
    with pytest.raises(NonFiniteError):
        batch.update_and_fetch(broken, values)
    assert batch.offset.tolist() == [40, 40]
    # One token at a time is checked when it is coded: the step that would code it fails, and appends to no row.
    batch.update_and_fetch(broken[..., :1, :], values[..., :1, :])
    held = None
    while held != batch.offset.tolist():
        held = batch.offset.tolist()
        with contextlib.suppress(NonFiniteError):
            batch.update_and_fetch(keys[..., :1, :], values[..., :1, :])
    first, second = held
    assert first == second > 41


def test_status_counts_all_rows(lively):
    batched = [layer.merge([layer] * 2) for layer in compressed_caches(lively)]
    for layer in batched:
        layer.prepare(lengths=[100, 30], right_padding=[0, 70])
    lively(mx.array([PROMPTS[1][:100], PROMPTS[1][:100]]), cache=batched)
    for layer in batched:
        layer.finalize()
    lively(mx.array([[1], [2]]), cache=batched)
    report = status(batched)
    assert [layer.realised for layer in report.layers] == [CONFIG.label] * 2
    assert report.layers[0].reason == "2 rows; tokens: 8 sink, 88 packed, 36 tail"
    assert report.layers[0].offset == 101
    assert report.dense_bytes == 2 * 132 * 2 * 2 * 64 * 4
    assert report.nbytes == sum(layer.nbytes for layer in batched)
    assert all(layer.codes_read == 2 and layer.family == "llama" for layer in report.layers)


def test_what_does_not_fit_is_refused():
    single = TurboQuantKVCache(CONFIG)
    single.update_and_fetch(*keys_and_values(4))
    double = TurboQuantKVCache(CONFIG)
    double.update_and_fetch(*keys_and_values(4, batch=2))
    with pytest.raises(UnsupportedCacheError, match="row 1 is a KVCache"):
        single.merge([single, KVCache()])
    with pytest.raises(UnsupportedCacheError, match="row 1 holds 2 sequences"):
        single.merge([single, double])
    batch = single.merge([single, TurboQuantKVCache(CONFIG)])
    with pytest.raises(UnsupportedCacheError, match="a KVCache cannot join"):
        batch.extend(KVCache())
    with pytest.raises(UnsupportedCacheError, match="tokens of 3 rows do not fit a batch of 2"):
        batch.update_and_fetch(*keys_and_values(1, batch=3))
    with pytest.raises(UnsupportedCacheError, match="left padding fits only an empty batch"):
        batch.prepare(left_padding=[1, 0])
    with pytest.raises(UnsupportedCacheError, match="right padding without lengths"):
        batch.prepare(right_padding=[1, 0])
    with pytest.raises(UnsupportedCacheError, match="do not fit a cache of"):
        batch.update_and_fetch(*keys_and_values(1, batch=2, heads=3))
    assert batch.offset.tolist() == [4, 0]
    batch.prepare(lengths=[2, 1], right_padding=[0, 1])
    with pytest.raises(UnsupportedCacheError, match="call finalize before extend"):
        batch.extend(single.merge([single]))


def test_a_model_that_computes_with_batched_keys_itself_is_refused():
    batch = BatchTurboQuantKVCache.merge([TurboQuantKVCache(CONFIG)])
    keys, _ = batch.update_and_fetch(*keys_and_values(40))
    assert (keys.shape, keys.ndim, keys.dtype) == ((1, 2, 40, 64), 4, mx.float32)
    with pytest.raises(UnsupportedAttentionError, match="BatchKeysView has no 'swapaxes'"):
        keys.swapaxes(-1, -2)
