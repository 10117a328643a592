"""Equal-noise bits: spend key bits where keys are long, so that every layer's scores get the same noise.

The error that a quantizer puts on a score grows with ‖k − μ‖, and that norm differs between layers by up to five times.
A key bit halves the error, so a layer with norms twice the median gets one bit more. The norms come from the keys at
the first compression; nothing is trained, and the choice is made once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import floor, log2
from typing import Any, Literal

from tq_mlx.errors import ConfigError

FEWEST, MOST = 2, 8


@dataclass(frozen=True)
class MeanBits:
    """A budget: the mean over layers of the key bits is as close to ``mean`` as can be without exceeding it."""

    mean: float
    kind: Literal["mean"] = "mean"

    def __post_init__(self) -> None:
        """Refuse a mean that no layers' bits have."""
        if not FEWEST <= self.mean <= MOST:
            raise ConfigError(f"mean key bits are {self.mean}: use {FEWEST} to {MOST}")

    def bits(self, norms: Sequence[float]) -> list[int]:
        """Return each layer's key bits: round(β + log2 norm) with the largest β that the budget allows."""
        logs = [log2(max(norm, 1e-30)) for norm in norms]
        best = [FEWEST] * len(logs)
        # Each layer's bits step up where β + log2 norm passes a half: only those β need be tried.
        for beta in sorted(step + 0.5 - x for x in logs for step in range(FEWEST, MOST)):
            bits = [clamp(floor(beta + x + 0.5 + 1e-9)) for x in logs]
            if sum(bits) > self.mean * len(bits) + 1e-9:
                break
            best = bits
        return best


@dataclass(frozen=True)
class KeyNoise:
    """A target: the fewest bits with which the root mean square error of a key, ‖k − k̂‖, is at most ``error``."""

    error: float
    kind: Literal["noise"] = "noise"

    def __post_init__(self) -> None:
        """Refuse an error that is not positive."""
        if not self.error > 0:
            raise ConfigError(f"key noise is {self.error}: use a positive error")

    def bits(self, norms: Sequence[float]) -> list[int]:
        """Return each layer's key bits."""
        return [
            next((b for b in range(FEWEST, MOST) if relative_error(b) * norm <= self.error), MOST) for norm in norms
        ]


KeyBits = MeanBits | KeyNoise


def key_bits_from_dict(data: Mapping[str, Any] | None) -> KeyBits | None:
    """Return what ``key_bits_to_dict`` described; ConfigError names what does not fit."""
    if data is None:
        return None
    kinds = {"mean": MeanBits, "noise": KeyNoise}
    kind = data.get("kind")
    if kind not in kinds:
        raise ConfigError(f"key_bits of kind {kind!r} are not known: use one of {', '.join(kinds)}")
    try:
        return kinds[kind](**data)
    except TypeError as error:
        raise ConfigError(f"key_bits {dict(data)}: {error}") from error


def key_bits_to_dict(key_bits: KeyBits | None) -> dict[str, Any] | None:
    """Return the rule as JSON values."""
    return None if key_bits is None else asdict(key_bits)


def relative_error(bits: int) -> float:
    """Return √D_mse of a Lloyd–Max code with the scale search at D = 128, which others come close to."""
    return (0.3627, 0.1159, 0.0322, 0.00798, 0.00195, 0.000498, 0.000128, 0.000033)[bits - 1] ** 0.5


def clamp(bits: int) -> int:
    return max(FEWEST, min(MOST, bits))
