"""What may not be reported: silent dense fallbacks, unread codes, numbers that are none."""

from dataclasses import replace

import mlx.core as mx
import pytest
from mlx_lm.models.cache import KVCache, QuantizedKVCache

from tq_cert.lanes.errors import CodesNotReadError, NonFiniteDivergenceError
from tq_cert.lanes.quality.measure import Contender, measure_window
from tq_mlx import TurboQuantConfig, TurboQuantKVCache

TOKENS = tuple(index % 90 + 1 for index in range(96))
CONFIG = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), tail_tokens=0, block_tokens=1)


def run(model, make, *, compresses: bool = True):
    contender = Contender("mine", lambda seen: [make() for _ in seen], compresses)
    reference = [KVCache() for _ in model.layers]
    measure_window(model, TOKENS, reference, [contender], chunk=32, step=lambda tokens: None)
    return contender.measurement(0)


def test_a_good_method_passes(tiny_llama_loaded) -> None:
    assert run(tiny_llama_loaded.model, lambda: TurboQuantKVCache(CONFIG)).kl > 0
    assert run(tiny_llama_loaded.model, lambda: QuantizedKVCache(bits=4)).kl > 0
    assert run(tiny_llama_loaded.model, KVCache, compresses=False).kl == 0


def test_a_dense_cache_under_a_compressed_name(tiny_llama_loaded) -> None:
    with pytest.raises(CodesNotReadError, match=r"'mine'.*exactly zero at all 96") as caught:
        run(tiny_llama_loaded.model, KVCache)
    assert caught.value.exit_code == 1


def test_a_cache_that_decodes_for_the_models_own_attention(tiny_llama_loaded) -> None:
    """A fallback that is not exact: KL is above zero, but attention saw no codes."""

    class Decoding(TurboQuantKVCache):
        def update_and_fetch(self, keys, values):
            return tuple(view.decode() for view in super().update_and_fetch(keys, values))

    with pytest.raises(CodesNotReadError, match=r"never read the codes of layers \[0, 1\]"):
        run(tiny_llama_loaded.model, lambda: Decoding(CONFIG))


def test_a_tail_that_holds_the_whole_window(tiny_llama_loaded) -> None:
    with pytest.raises(CodesNotReadError):
        run(tiny_llama_loaded.model, lambda: TurboQuantKVCache(replace(CONFIG, tail_tokens=1000)))


def test_an_inexact_dense_cache(tiny_llama_loaded) -> None:
    class Rounding(KVCache):
        def update_and_fetch(self, keys, values):
            return super().update_and_fetch(keys.astype(mx.bfloat16).astype(mx.float32), values)

    with pytest.raises(CodesNotReadError, match="no layer's cache is compressed"):
        run(tiny_llama_loaded.model, Rounding)


def test_a_quantized_cache_that_was_passed_by(tiny_llama_loaded) -> None:
    class Forgetful(QuantizedKVCache):
        def update_and_fetch(self, keys, values):
            found = super().update_and_fetch(keys, values)
            if self.offset == len(TOKENS):
                self.offset -= 1
            return found

    with pytest.raises(CodesNotReadError, match="do not hold the window's tokens"):
        run(tiny_llama_loaded.model, lambda: Forgetful(bits=4))


def test_nan_names_the_method_and_the_position(tiny_llama_loaded) -> None:
    class Poisoned(KVCache):
        def update_and_fetch(self, keys, values):
            found = super().update_and_fetch(keys, values)
            return found if self.offset <= 32 else (found[0], mx.full(found[1].shape, mx.nan))

    with pytest.raises(NonFiniteDivergenceError, match=r"'mine'.* position 32"):
        run(tiny_llama_loaded.model, Poisoned)
