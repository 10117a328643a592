"""What a memory measurement is asked to do, and what it finds."""

from typing import Literal

import msgspec

from tq_cert.errors import OptionError
from tq_cert.lanes.envelope import Envelope, ModelInfo

DtypeName = Literal["model", "float32", "bfloat16", "float16"]
DTYPES: tuple[DtypeName, ...] = ("model", "float32", "bfloat16", "float16")


class MemoryScope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every method of one report has in common.

    Attributes:
        context: tokens of the prompt.
        steps: tokens decoded after it, greedily.
        chunk: tokens of the prompt that are fed at a time, as mlx-lm's prefill_step_size.
        start: tokens from which on the cache is compressed, as turboquant_start: 0 compresses an empty cache (or, where
            a rule chooses key bits, after the first chunk), `context` or more after the whole prefill.
        dtype: what the model's weights are cast to; "model" leaves them.
        research: the support gate admits a research-only family too.
    """

    context: int = 4096
    steps: int = 64
    chunk: int = 2048
    start: int = 0
    dtype: DtypeName = "model"
    research: bool = False

    def check(self) -> None:
        """Raise OptionError for numbers out of range."""
        for option, value, least in (
            ("--context", self.context, 2),
            ("--steps", self.steps, 1),
            ("--chunk", self.chunk, 1),
            ("--start", self.start, 0),
        ):
            if value < least:
                raise OptionError(option, f"{value} is too small", f"use {least} or more")


class MemorySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scope, and the methods by name."""

    scope: MemoryScope
    methods: tuple[str, ...]


class Peaks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The highest memory that MLX held in each phase, in bytes, weights included.

    Attributes:
        prefill: from the first chunk of the prompt to the last.
        upgrade: while the cache was compressed, wherever in the prefill that was; None where nothing was.
        decode: over all steps.
    """

    prefill: int
    upgrade: int | None
    decode: int

    @property
    def overall(self) -> int:
        """The highest of all."""
        return max(self.prefill, self.upgrade or 0, self.decode)


class MemoryRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One method.

    Attributes:
        method: name.
        model: what was run, its dtype after the cast.
        bos: whether the prompt began with the tokenizer's BOS.
        weights_bytes: of the model.
        peaks: by phase.
        cache_bytes: allocated by all layers at the end, growth capacity included.
        used_bytes: of these, what the tokens take that the cache holds.
        tokens: in the cache at the end.
        codes_read: how often attention read codes, over all layers; 0 for a dense run.
        upgraded_at: tokens in the cache when it was compressed; None where it was not.
        seconds: of prefill, upgrade and decode.
        step_seconds: of every decode step.
    """

    method: str
    model: ModelInfo
    bos: bool
    weights_bytes: int
    peaks: Peaks
    cache_bytes: int
    used_bytes: int
    tokens: int
    codes_read: int
    upgraded_at: int | None
    seconds: tuple[float, float, float]
    step_seconds: tuple[float, ...]


MemoryReport = Envelope[MemorySettings, MemoryRow]


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One method's generation, as the process that runs it reads it.

    Attributes:
        model: a sample model's name or a directory.
        text: file with the text; None for the built-in one.
        method: name.
        parameters: of the configuration; None for the dense run.
        scope: what all have in common.
    """

    model: str
    text: str | None
    method: str
    parameters: dict[str, object] | None
    scope: MemoryScope
