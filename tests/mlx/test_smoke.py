"""A family end to end: prefill, upgrade, decode, against the dense run on the same tokens.

On a tiny random model, or on the real one that $TQ_TEST_LLAMA_MODEL or $TQ_TEST_GEMMA_MODEL names.
"""

import mlx.core as mx
import pytest
from mlx_lm.models.cache import make_prompt_cache

import tq_mlx
from tq_mlx.divergence import Expected, compare
from tq_mlx.teacher_forcing import prefill

PROMPT, DECODED = 320, 24


def decoded_logits(model, tokens, cache):
    """Feed the tokens one at a time, as generation does: logits [n, V]."""
    steps = [model(mx.array([[token]]), cache=cache)[0, -1] for token in tokens]
    return mx.stack(steps).astype(mx.float32)


@pytest.mark.parametrize("name", ["uniform_k4v4", "lloyd_k4v4", "polarquant_exp"])
def test_prefill_upgrade_decode(smoke_model, name):
    model, largest = smoke_model
    tokens = [(7 * i * i + 3 * i) % 89 + 3 for i in range(PROMPT + DECODED)]
    dense, ours = make_prompt_cache(model), make_prompt_cache(model)
    for cache in (dense, ours):
        prefill(model, tokens[:PROMPT], cache)
    config = tq_mlx.TurboQuantConfig.from_preset(name)
    events = tq_mlx.upgrade_cache_list(ours, 64, config=config, model_family=tq_mlx.family_of(model))
    expected = decoded_logits(model, tokens[PROMPT:], dense)
    logits = decoded_logits(model, tokens[PROMPT:], ours)

    assert mx.isfinite(logits).all().item()
    kl = [float(value) for value in compare(Expected.of(expected, tokens[PROMPT + 1 :]), logits).kl]
    assert max(kl) > 0  # exactly equal predictions would mean that no code was read
    assert sum(kl) / len(kl) <= largest
    layers = tq_mlx.status(ours).layers
    assert any(event.compressed for event in events)
    for event in events:
        assert (layers[event.layer].codes_read >= DECODED) is event.compressed
        assert not event.compressed or event.ratio < 1
    assert [layer.offset for layer in layers] == [PROMPT + DECODED] * len(layers)
