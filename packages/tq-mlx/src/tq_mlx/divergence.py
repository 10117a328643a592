"""How far one distribution per position lies from another: KL divergence, log-likelihood and top token, in float32.

With r and q the dense and the method's logits, p = softmax(r), d = q − r and c = d − Σ p d:

    KL = log Σ p eᵈ − Σ p d = log(1 + Σ p (eᶜ − 1 − c))

because Σ p c = 0. All terms of the last sum are positive, so nothing cancels: unlike log p − log q it resolves a KL
of 1e-8, and no pass needs a second softmax. Long sums go in two levels: MLX's CPU backend adds a row up one element
after the other, which over a vocabulary of 262144 costs 4e-4 of the sum.
"""

from dataclasses import dataclass
from typing import Self, cast

import mlx.core as mx

ROWS = 32
"""Positions compared at a time: bounds the temporary arrays."""

RUN = 512
"""Elements added up at a time."""

LARGEST_EXPONENT = 40.0
"""Above this, what p loses to underflow could weigh something once it is multiplied by eᶜ, or eᶜ overflow."""


@dataclass(frozen=True)
class Expected:
    """What the dense run predicts at some positions.

    Attributes:
        logits: [n, V].
        probabilities: [n, V], float32.
        normalisers: log Σ exp(logits) [n, 1], float32.
        top: most likely token [n].
        targets: token ids of the positions that have a target: the first of them, all but perhaps the last.
        nll: negative log-likelihood of each target.
    """

    logits: mx.array
    probabilities: mx.array
    normalisers: mx.array
    top: mx.array
    targets: mx.array
    nll: mx.array

    @classmethod
    def of(cls, logits: mx.array, targets: list[int]) -> Self:
        """Work out what the comparisons share, from logits [n, V] and at most n targets."""
        probabilities: list[mx.array] = []
        normalisers: list[mx.array] = []
        for first in range(0, logits.shape[0], ROWS):
            part = logits[first : first + ROWS].astype(mx.float32)
            normaliser = log_sum_exp(part)
            probabilities.append(mx.exp(part - normaliser))
            normalisers.append(normaliser)
            mx.eval(probabilities[-1], normaliser)
        ids = mx.array(targets, dtype=mx.int32)
        normaliser = mx.concatenate(normalisers)
        nll = normaliser[: len(targets), 0] - at(logits, ids)
        expected = cls(logits, mx.concatenate(probabilities), normaliser, mx.argmax(logits, axis=-1), ids, nll)
        mx.eval(expected.probabilities, expected.top, expected.nll)
        return expected


@dataclass(frozen=True)
class Comparison:
    """How a method's predictions differ from the dense ones.

    Attributes:
        kl: KL(dense ‖ method) at each position, in nats.
        flipped: whether the most likely token differs there.
        nll: of the targets, summed, in nats.
        dense_nll: the same in the dense run.
    """

    kl: list[float]
    flipped: list[bool]
    nll: float
    dense_nll: float

    @property
    def flips(self) -> int:
        """Positions at which the most likely token differs."""
        return sum(self.flipped)


def compare(expected: Expected, logits: mx.array) -> Comparison:
    """Compare the method's logits [n, V] with the dense ones."""
    kls: list[mx.array] = []
    shifts: list[mx.array] = []
    for first in range(0, logits.shape[0], ROWS):
        rows = slice(first, first + ROWS)
        p, r = expected.probabilities[rows], expected.logits[rows].astype(mx.float32)
        d = logits[rows].astype(mx.float32) - r
        shift = row_sums(p * d)
        kls.append(divergence(p, r - expected.normalisers[rows], d - shift))
        shifts.append(shift[:, 0])
        mx.eval(kls[-1], shifts[-1])
    kl, shift = mx.concatenate(kls), mx.concatenate(shifts)
    count = expected.targets.size
    # log q(target) = log p(target) + d(target) − log Σ p eᵈ
    change = (kl + shift)[:count] - (at(logits, expected.targets) - at(expected.logits, expected.targets))
    dense_nll = sum(numbers(expected.nll))
    flipped = cast("list[bool]", (mx.argmax(logits, axis=-1) != expected.top).tolist())
    return Comparison(kl=numbers(kl), flipped=flipped, nll=dense_nll + sum(numbers(change)), dense_nll=dense_nll)


def divergence(p: mx.array, log_p: mx.array, c: mx.array) -> mx.array:
    """KL [n] of the distribution ∝ p eᶜ from p [n, V], where Σ p c = 0."""
    if cast("float", c.max().item()) > LARGEST_EXPONENT:
        return log_sum_exp(log_p + c)[:, 0]
    return mx.log1p(row_sums(p * (mx.expm1(c) - c)))[:, 0]


def log_sum_exp(x: mx.array) -> mx.array:
    """The logarithm of Σ exp(x) [n, 1] of the rows of x [n, V]."""
    highest = x.max(axis=-1, keepdims=True)
    return highest + mx.log(row_sums(mx.exp(x - highest)))


def row_sums(x: mx.array) -> mx.array:
    """Sums [n, 1] of the rows of x [n, V], in two levels."""
    whole = x.shape[-1] // RUN * RUN
    runs = x[:, :whole].reshape(x.shape[0], -1, RUN).sum(axis=-1).sum(axis=-1, keepdims=True)
    return runs if whole == x.shape[-1] else runs + x[:, whole:].sum(axis=-1, keepdims=True)


def at(logits: mx.array, ids: mx.array) -> mx.array:
    """The logits [m], float32, of one token id at each of the first m positions."""
    return mx.take_along_axis(logits[: ids.size], ids[:, None], axis=-1)[:, 0].astype(mx.float32)


def numbers(vector: mx.array) -> list[float]:
    """The elements of a vector."""
    return cast("list[float]", vector.tolist())
