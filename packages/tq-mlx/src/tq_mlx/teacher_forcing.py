"""Teacher forcing: how far a compressed run's predictions move from the dense run's on the dense run's own tokens."""

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from tq_mlx.divergence import Expected, compare

Progress = Callable[[int, int], None]

PREFILL_TOKENS = 512
"""Of a prompt, fed at a time: between two such blocks progress is reported, and a prefill can be stopped."""


def prefill(model: Any, tokens: Sequence[int], cache: list[Any], chunk: int = PREFILL_TOKENS) -> None:
    """Feed tokens to the model a chunk at a time, for the sake of its caches: what it predicts is not computed."""
    for first in range(0, len(tokens), chunk):
        model(mx.array([list(tokens[first : first + chunk])]), cache=cache)
        mx.eval([layer.state for layer in cache])


def mean_divergence(
    model: Any,
    prompt: Sequence[int],
    continuation: Sequence[int],
    dense: list[Any],
    compressed: list[Any],
    progress: Progress,
) -> float:
    """Return the mean KL divergence, in nats, of the compressed predictions of ``continuation`` from the dense ones.

    Both caches are fed the prompt in chunks and then the continuation token by token, as generation would. The
    distributions are over the full vocabulary, in float32.

    Args:
        model: an mlx-lm model.
        prompt: token ids; the last one predicts the first of the continuation.
        continuation: token ids.
        dense: the model's empty caches.
        compressed: the same, compressed.
        progress: called with (tokens done, tokens in all).
    """
    for cache in (dense, compressed):
        prefill(model, prompt[:-1], cache)
    total = 0.0
    inputs = [prompt[-1], *continuation[:-1]]
    for done, token in enumerate(inputs, start=1):
        expected, actual = (next_logits(model, token, cache) for cache in (dense, compressed))
        total += compare(Expected.of(expected, []), actual).kl[0]
        progress(done, len(inputs))
    return total / len(inputs)


def next_logits(model: Any, token: int, cache: list[Any]) -> mx.array:
    """Return the logits [1, vocabulary] that follow one more token."""
    return model(mx.array([[token]]), cache=cache)[0]
