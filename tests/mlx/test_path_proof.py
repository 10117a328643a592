"""Proof that the compressed path runs: layer by layer, attention reads codes.

Without the hooks every test here fails, with the error that names the hook; test_path_proof_without_hooks runs this
module so. `make test-path-proof` runs both.
"""

import importlib
from dataclasses import replace

import mlx.core as mx
import pytest
from mlx_lm.models.cache import make_prompt_cache

from tq_mlx import TurboQuantConfig, status, upgrade_cache_list

CONFIG = replace(TurboQuantConfig.from_preset("lloyd_k4v4"), tail_tokens=16, block_tokens=8)
PROMPT = mx.array([[1 + index * 7 % 60 for index in range(100)]])
STEPS = 5


def codes_read(model, family):
    """Prefill dense, compress, decode; return how often each layer's codes were read."""
    cache = make_prompt_cache(model)
    model(PROMPT, cache=cache)
    upgrade_cache_list(cache, config=CONFIG, model_family=family)
    for _ in range(STEPS):
        mx.eval(model(PROMPT[:, :1], cache=cache))
    return [layer.codes_read for layer in status(cache).layers]


def test_every_layer_of_llama_reads_codes_at_every_step(tiny_llama):
    assert codes_read(tiny_llama, "llama") == [STEPS] * 2


def test_the_global_layers_of_gemma_read_codes_at_every_step(tiny_gemma):
    assert codes_read(tiny_gemma, "gemma") == [0, 0, STEPS]


@pytest.mark.parametrize("changed", ["keys", "values"])
def test_what_comes_out_depends_on_the_codes(tiny_llama, changed):
    """Zeroed codes change the logits: they are what is attended to, not a dense copy beside them."""
    logits = []
    for broken in (False, True):
        cache = make_prompt_cache(tiny_llama)
        tiny_llama(PROMPT, cache=cache)
        upgrade_cache_list(cache, config=CONFIG, model_family="llama")
        for layer in cache if broken else ():
            code = getattr(layer.packed, changed)
            setattr(layer.packed, changed, code.map(mx.zeros_like))
        logits.append(tiny_llama(PROMPT[:, :1], cache=cache))
    assert mx.abs(logits[0] - logits[1]).max().item() > 1e-4


def test_mlx_lms_generation_reads_codes(tiny_llama):
    cache = make_prompt_cache(tiny_llama)
    upgrade_cache_list(cache, config=CONFIG, model_family="llama")
    generate_step = importlib.import_module("mlx_lm.generate").generate_step
    list(generate_step(PROMPT[0], tiny_llama, max_tokens=STEPS, prompt_cache=cache))
    assert all(layer.codes_read >= STEPS for layer in status(cache).layers)
