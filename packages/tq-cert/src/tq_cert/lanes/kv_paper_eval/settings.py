"""What a KV paper evaluation is asked to do: a tier names the defaults."""

from typing import Literal

import msgspec

from tq_cert.errors import OptionError
from tq_cert.lanes.quality.settings import Layers, Mode, Scope

Tier = Literal["fast-check", "heavy-offline"]


class EvalScope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every method of one report has in common.

    Attributes:
        contexts: tokens of the prompts, question included.
        haystacks: prompts of each length, each of another stretch of the text.
        needles: planted in each, at even depths, and asked for one by one.
        passage: tokens at the beginning of each that have to be copied at its end.
        chunk: tokens that are fed at a time.
        mode: "stress" codes every token but the sinks at once, as the papers do; "service" keeps the tail.
        layers: "default": those that the support gate admits; "all": past the gate, for evaluation.
        research: the gate admits a research-only family too.
        seed: of the needles and the passages.
    """

    contexts: tuple[int, ...]
    haystacks: int
    needles: int
    passage: int = 64
    chunk: int = 256
    mode: Mode = "stress"
    layers: Layers = "default"
    research: bool = False
    seed: int = 0

    def check(self) -> None:
        """Raise OptionError for numbers out of range."""
        for option, value, least in (
            ("--haystacks", self.haystacks, 1),
            ("--needles", self.needles, 1),
            ("--passage", self.passage, 16),
            ("--chunk", self.chunk, 1),
        ):
            if value < least:
                raise OptionError(option, f"{value} is too small", f"use {least} or more")

    def at(self, context: int) -> Scope:
        """The same for one prompt, as the caches are built for it."""
        return Scope(context, 1, self.chunk, self.mode, self.layers, self.research)


TIERS: dict[Tier, EvalScope] = {
    "fast-check": EvalScope(contexts=(512, 1024), haystacks=2, needles=5),
    "heavy-offline": EvalScope(contexts=(1024, 2048, 4096, 8192), haystacks=5, needles=10),
}

METHODS: dict[Tier, str] = {
    "fast-check": "dense,mlx:kv4,preset:lloyd_k4v4,preset:paper_mse,preset:paper_prod_qjl,preset:polarquant_exp",
    "heavy-offline": "",
}
"""Measured where nothing else is asked for; empty: all presets of the contract and mlx-lm's own caches."""


class EvalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tier, the scope, and the methods by name."""

    tier: Tier
    scope: EvalScope
    methods: tuple[str, ...]
