"""What a quality measurement is asked to do."""

from typing import Literal

import msgspec

from tq_cert.errors import OptionError

Mode = Literal["stress", "service"]
Layers = Literal["all", "default"]
MODES: tuple[Mode, ...] = ("stress", "service")
LAYERS: tuple[Layers, ...] = ("default", "all")


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every method of one report has in common.

    Attributes:
        context: tokens of a window.
        windows: of the text, side by side from its beginning.
        chunk: tokens that are fed at a time.
        mode: "stress" codes every token but the sinks at once; "service" keeps the configuration's own tail.
        layers: "all" builds a plain cache for each layer, past the support gate, for evaluation; "default" takes
            the model's own caches and compresses what the support gate admits.
        research: the gate admits a research-only family too.
    """

    context: int = 1024
    windows: int = 8
    chunk: int = 256
    mode: Mode = "stress"
    layers: Layers = "default"
    research: bool = False

    def check(self) -> None:
        """Raise OptionError for numbers out of range."""
        for option, value, least in (
            ("--context", self.context, 2),
            ("--windows", self.windows, 1),
            ("--chunk", self.chunk, 1),
        ):
            if value < least:
                raise OptionError(option, f"{value} is too small", f"use {least} or more")


class QualitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scope, and the methods by name."""

    scope: Scope
    methods: tuple[str, ...]
