"""More than 4096 tokens: predictions stay finite and close to the dense run's, memory stays compressed, to the end.

On tiny random models, or on the real ones that $TQ_TEST_LLAMA_MODEL and $TQ_TEST_GEMMA_MODEL name.
"""

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache

import tq_mlx
from tq_mlx.divergence import Expected, compare
from tq_mlx.teacher_forcing import PREFILL_TOKENS, prefill

CONTEXT = 4096 + 3 * 64 + 17
DECODED = 16


def test_a_cache_compressed_from_early_on_stays_stable(smoke_model):
    model, largest = smoke_model
    tokens = [(5 * i * i + 11 * i) % 89 + 3 for i in range(CONTEXT + DECODED)]
    config = tq_mlx.TurboQuantConfig.from_preset("uniform_k4v4")
    dense, ours = make_prompt_cache(model), make_prompt_cache(model)
    prefill(model, tokens[:PREFILL_TOKENS], ours)
    events = tq_mlx.upgrade_cache_list(ours, 64, config=config, model_family=tq_mlx.family_of(model))
    prefill(model, tokens[PREFILL_TOKENS:CONTEXT], ours)  # compressed while the prompt goes on
    prefill(model, tokens[:CONTEXT], dense)

    steps = [[model(mx.array([[token]]), cache=cache)[0, -1] for token in tokens[CONTEXT:]] for cache in (dense, ours)]
    expected, logits = (mx.stack(one).astype(mx.float32) for one in steps)
    assert mx.isfinite(logits).all().item()
    kl = [float(value) for value in compare(Expected.of(expected, tokens[CONTEXT + 1 :]), logits).kl]
    assert max(kl) > 0
    assert sum(kl) / len(kl) <= largest

    status = tq_mlx.status(ours)
    compressed = [status.layers[event.layer] for event in events if event.compressed]
    assert compressed
    for layer in compressed:
        assert layer.offset == CONTEXT + DECODED
        assert layer.nbytes < 0.5 * layer.dense_bytes
        assert layer.codes_read >= (CONTEXT - PREFILL_TOKENS) // PREFILL_TOKENS + DECODED
