"""What a layer-error measurement is asked to do, and what it finds."""

import msgspec

from tq_cert.errors import OptionError
from tq_cert.lanes.envelope import Envelope


class LayerErrorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every row of one report has in common.

    Attributes:
        context: tokens of the text, in the cache when it is compressed.
        chunk: tokens that are fed at a time.
        research: the support gate admits a research-only family too.
        methods: by name.
    """

    context: int = 1024
    chunk: int = 256
    research: bool = False
    methods: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise OptionError for numbers out of range."""
        for option, value, least in (("--context", self.context, 2), ("--chunk", self.chunk, 1)):
            if value < least:
                raise OptionError(option, f"{value} is too small", f"use {least} or more")


class LayerError(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One compressed layer: squared error over squared norm, mean over the coded tokens and the heads."""

    layer: int
    keys: float
    values: float


class LayerErrorRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One method: every layer that it compresses."""

    method: str
    layers: tuple[LayerError, ...]


LayerErrorReport = Envelope[LayerErrorSettings, LayerErrorRow]
