"""mlx-lm's KVCache and BatchKVCache as the model: whatever happens to both, ours hold the same tokens."""

import copy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import mlx.core as mx
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from mlx_lm.models.base import scaled_dot_product_attention
from mlx_lm.models.cache import BatchKVCache, KVCache, load_prompt_cache, save_prompt_cache

from tq_core import UniformCodec
from tq_mlx import TurboQuantConfig, TurboQuantKVCache

CODEC = UniformCodec(bits=8)
CONFIG = TurboQuantConfig(CODEC, CODEC, center_block=8, sink_tokens=2, tail_tokens=6, block_tokens=4)
CODEC_ERROR = 0.02
"""More than twice the root mean square error of 8 bits, relative to a vector's norm (0.7 %)."""

HEADS, HEAD_DIM, ROWS = 2, 64, 4
LENGTHS = st.integers(0, 30)
SEEDS = st.integers(0, 1 << 30)


def random(seed, batch, tokens, heads=HEADS):
    return mx.random.normal((batch, heads, tokens, HEAD_DIM), key=mx.random.key(seed)) + 0.5


def decoded(cache):
    return [replace(view, dtype=mx.float32).decode() for view in cache.keys_and_values()]


def saved_and_loaded(*caches):
    with TemporaryDirectory() as folder:
        file = str(Path(folder) / "prompt.safetensors")
        save_prompt_cache(file, list(caches))
        return load_prompt_cache(file)


def assert_same_history(ours, theirs):
    assert ours.offset == theirs.offset == ours.size()
    if not ours.offset:
        return  # mlx-lm extracts a row that was never fed as arrays of no tokens, which it does not call empty
    assert not ours.empty()
    for mine, exact in zip(decoded(ours), theirs.keys_and_values(), strict=True):
        assert mine.shape == exact.shape
        error = mx.linalg.norm(mine - exact, axis=-1) / mx.linalg.norm(exact, axis=-1)
        assert error.max() < CODEC_ERROR


def assert_same_masks(ours, theirs):
    """Columns in which all rows are padding, which mlx-lm keeps and ours never has, are masked out there."""
    for new, window in ((1, None), (3, None), (2, 5)):
        masks = [cache.make_mask(new, return_array=True, window_size=window) for cache in (ours, theirs)]
        if all(mask is None for mask in masks):
            continue
        mine, exact = masks
        assert not exact[..., : exact.shape[-1] - mine.shape[-1]].any()
        assert mx.array_equal(mine, exact[..., exact.shape[-1] - mine.shape[-1] :])


class Histories(RuleBasedStateMachine):
    """Single caches beside each other, and one batch; each of ours with the one of mlx-lm's that it stands for."""

    def __init__(self):
        super().__init__()
        self.singles = []
        self.batch = None

    def chosen(self, data, least=1):
        places = st.lists(st.sampled_from(range(len(self.singles))), min_size=least, max_size=ROWS)
        return [self.singles[place] for place in data.draw(places)]

    @property
    def rows(self):
        return len(self.batch[0].rows)

    @initialize(lengths=st.lists(LENGTHS, min_size=2, max_size=ROWS), seed=SEEDS)
    def begin_with_a_batch(self, lengths, seed):
        """Without it most runs would be over before there is a batch of unlike rows."""
        for place, length in enumerate(lengths):
            self.begin(length, seed + 2 * place)
        self.batch = tuple(side[0].merge(side) for side in zip(*self.singles, strict=True))

    @rule(length=LENGTHS, seed=SEEDS)
    def begin(self, length, seed):
        pair = TurboQuantKVCache(CONFIG), KVCache()
        self.singles = [*self.singles, pair][-ROWS:]
        if length:
            for cache in pair:
                cache.update_and_fetch(random(seed, 1, length), random(seed + 1, 1, length))

    @precondition(lambda self: self.singles)
    @rule(data=st.data(), length=st.integers(1, 9), seed=SEEDS)
    def feed(self, data, length, seed):
        for cache in data.draw(st.sampled_from(self.singles)):
            cache.update_and_fetch(random(seed, 1, length), random(seed + 1, 1, length))

    @precondition(lambda self: self.singles)
    @rule(data=st.data(), count=LENGTHS)
    def trim(self, data, count):
        ours, theirs = data.draw(st.sampled_from(self.singles))
        assert ours.trim(count) == theirs.trim(count)

    @precondition(lambda self: self.singles)
    @rule(data=st.data())
    def copy(self, data):
        pair = data.draw(st.sampled_from(self.singles))
        self.singles = [*self.singles, copy.deepcopy(pair)][-ROWS:]

    @precondition(lambda self: self.singles)
    @rule(data=st.data())
    def save_and_load(self, data):
        place = data.draw(st.sampled_from(range(len(self.singles))))
        ours, theirs = self.singles[place]
        self.singles[place] = saved_and_loaded(ours)[0], theirs

    @precondition(lambda self: self.singles)
    @rule(data=st.data())
    def merge(self, data):
        pairs = self.chosen(data, least=2)
        self.batch = pairs[0][0].merge([pair[0] for pair in pairs]), pairs[0][1].merge([pair[1] for pair in pairs])

    @precondition(lambda self: self.batch)
    @rule(length=st.integers(1, 9), seed=SEEDS)
    def feed_batch(self, length, seed):
        ours, theirs = self.batch
        masks = [cache.make_mask(length) for cache in (ours, theirs)]
        tokens = random(seed, self.rows, length), random(seed + 1, self.rows, length)
        queries = random(seed + 2, self.rows, length, 2 * HEADS)
        outputs = [
            scaled_dot_product_attention(queries, *cache.update_and_fetch(*tokens), cache, 0.125, mask)
            for cache, mask in zip((ours, theirs), masks, strict=True)
        ]
        assert mx.abs(outputs[0] - outputs[1]).max() < 0.05

    @precondition(lambda self: self.batch)
    @rule(data=st.data(), seed=SEEDS)
    def feed_batch_padded_on_the_right(self, data, seed):
        lengths = data.draw(st.lists(LENGTHS, min_size=self.rows, max_size=self.rows).filter(any))
        first = data.draw(st.integers(1, max(lengths)))
        padding = [max(lengths) - length for length in lengths]
        keys, values = random(seed, self.rows, max(lengths)), random(seed + 1, self.rows, max(lengths))
        for cache in self.batch:
            cache.prepare(lengths=lengths, right_padding=padding)
            for part in (slice(0, first), slice(first, None)):
                if keys[:, :, part].shape[2]:
                    cache.update_and_fetch(keys[:, :, part], values[:, :, part])
            cache.finalize()

    @precondition(lambda self: self.batch)
    @rule(data=st.data())
    def filter(self, data):
        kept = data.draw(st.permutations(range(self.rows)))[: data.draw(st.integers(1, self.rows))]
        for cache in self.batch:
            cache.filter(kept)

    @precondition(lambda self: self.batch and self.singles)
    @rule(data=st.data())
    def extend(self, data):
        pairs = self.chosen(data)[: max(0, 2 * ROWS - self.rows)]
        if pairs:
            for side, cache in enumerate(self.batch):
                cache.extend(cache.merge([pair[side] for pair in pairs]))

    @precondition(lambda self: self.batch and self.batch[1].keys is not None)
    @rule(data=st.data())
    def extract(self, data):
        row = data.draw(st.sampled_from(range(self.rows)))
        self.singles = [*self.singles, tuple(cache.extract(row) for cache in self.batch)][-ROWS:]

    @precondition(lambda self: self.batch and self.batch[0].size())
    @rule(count=LENGTHS)
    def trim_batch(self, count):
        ours, theirs = self.batch
        count = min(count, int(ours.offset.min()))  # mlx-lm's lets positions fall below zero
        assert ours.trim(count) == theirs.trim(count)

    @precondition(lambda self: self.batch)
    @rule()
    def save_and_load_batch(self):
        self.batch = saved_and_loaded(self.batch[0])[0], self.batch[1]

    @invariant()
    def single_histories_are_the_same(self):
        for ours, theirs in self.singles:
            assert_same_history(ours, theirs)
            assert_same_masks(ours, theirs)

    @invariant()
    def batched_histories_are_the_same(self):
        if self.batch is None:
            return
        ours, theirs = self.batch
        assert ours.offset.tolist() == theirs.offset.tolist()
        assert ours.nbytes == sum(row.nbytes for row in ours.rows)
        assert_same_masks(ours, theirs)
        for row in range(self.rows):
            if theirs.keys is not None:
                mine, exact = ours.extract(row), theirs.extract(row)
                assert mine.offset == exact.offset
                if exact.offset:
                    assert_same_history(mine, exact)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_the_batched_cache_stands_for_mlx_lms():
    """What the machine compares with is what mlx-lm's batch generator would use."""
    assert isinstance(KVCache().merge([KVCache()]), BatchKVCache)
