"""One window through the dense run and all methods in lockstep: only one chunk's logits exist at a time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import mlx.core as mx

from tq_cert.lanes.quality.guards import check_codes_were_read, check_finite, compressed_layers
from tq_cert.lanes.quality.record import WindowMeasurement
from tq_cert.lanes.quality.statistics import bucket_edges, mean
from tq_cert.lanes.quality.stored_bits import stored_bits
from tq_mlx.divergence import Comparison, Expected, compare

DIGITS = 6


@dataclass
class Contender:
    """A method in the middle of a window.

    Attributes:
        name: of the method.
        build: makes its empty caches from the dense run's caches after the first chunk.
        compresses: whether a KL of zero would be an error.
        caches: one per layer, once built.
        chunks: how each chunk so far compared.
        seconds: in the model so far.
    """

    name: str
    build: Callable[[list[Any]], list[Any]]
    compresses: bool
    caches: list[Any] = field(default_factory=list[Any])
    chunks: list[Comparison] = field(default_factory=list[Comparison])
    seconds: float = 0.0

    def feed(self, model: Any, tokens: mx.array, expected: Expected) -> None:
        """Run the model on the next chunk [1, n] and compare."""
        started = time.perf_counter()
        logits = run_model(model, tokens, self.caches)
        self.seconds += time.perf_counter() - started
        comparison = compare(expected, logits)
        check_finite(self.name, comparison.kl, sum(len(chunk.kl) for chunk in self.chunks))
        self.chunks.append(comparison)

    @property
    def kl(self) -> tuple[float, ...]:
        """At each position so far, rounded before anything is computed from it: a report's readers compute the same."""
        return tuple(float(f"{value:.{DIGITS}g}") for chunk in self.chunks for value in chunk.kl)

    def measurement(self, window: int) -> WindowMeasurement:
        """The finished window's record.

        Raises:
            CodesNotReadError: the method compresses, and its codes were not read.
        """
        kl = self.kl
        if self.compresses:
            check_codes_were_read(self.name, self.caches, kl)
        edges = bucket_edges(len(kl))
        return WindowMeasurement(
            method=self.name,
            window=window,
            positions=len(kl),
            targets=len(kl) - 1,
            kl=mean(kl),
            flips=sum(chunk.flips for chunk in self.chunks),
            nll=sum(chunk.nll for chunk in self.chunks),
            dense_nll=sum(chunk.dense_nll for chunk in self.chunks),
            stored_bits=stored_bits(self.caches),
            compressed_layers=compressed_layers(self.caches),
            layers=len(self.caches),
            seconds=round(self.seconds, 3),
            kl_buckets=tuple(mean(kl[start:stop]) for start, stop in pairwise(edges)),
            kl_positions=kl,
        )


def measure_window(
    model: Any,
    tokens: Sequence[int],
    reference: list[Any],
    contenders: Sequence[Contender],
    *,
    chunk: int,
    step: Callable[[int], None],
) -> None:
    """Feed one window to the dense run and to every contender.

    Args:
        model: an mlx-lm model.
        tokens: of the window.
        reference: empty dense caches, one per layer.
        contenders: that have fed on nothing yet.
        chunk: tokens fed at a time.
        step: called with the tokens that the dense run or a contender has just been fed.
    """
    for start in range(0, len(tokens), chunk):
        stop = min(start + chunk, len(tokens))
        fed = mx.array(list(tokens[start:stop]))[None]
        expected = Expected.of(run_model(model, fed, reference), list(tokens[start + 1 : stop + 1]))
        step(stop - start)
        for contender in contenders:
            contender.caches = contender.caches or contender.build(reference)
            contender.feed(model, fed, expected)
            step(stop - start)


def run_model(model: Any, tokens: mx.array, caches: list[Any]) -> mx.array:
    """The logits [n, V] of tokens [1, n] behind what the caches hold; evaluates them and the caches."""
    logits: mx.array = model(tokens, cache=caches)[0]
    mx.eval(logits, [cache.state for cache in caches])
    return logits
