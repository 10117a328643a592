"""What a dense-vs-tq measurement is asked to do, and what it finds."""

from collections.abc import Sequence
from typing import Self

import msgspec

from tq_cert.errors import OptionError
from tq_cert.lanes.envelope import Envelope
from tq_cert.lanes.memory.record import DtypeName, MemoryRow, MemoryScope, Peaks
from tq_cert.lanes.timing import Timing


class CompareScope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every method of one report has in common.

    Attributes:
        contexts: tokens of the prompts: short, medium, long.
        steps: tokens decoded after each, greedily.
        repeats: processes of each method at each length, in turns.
        chunk: tokens of a prompt that are fed at a time.
        start: tokens from which on the cache is compressed.
        dtype: what the model's weights are cast to; "model" leaves them.
        research: the support gate admits a research-only family too.
    """

    contexts: tuple[int, ...] = (256, 1024, 4096)
    steps: int = 32
    repeats: int = 3
    chunk: int = 512
    start: int = 0
    dtype: DtypeName = "model"
    research: bool = False

    def check(self) -> None:
        """Raise OptionError for numbers out of range."""
        if self.repeats < 1:
            raise OptionError("--repeats", f"{self.repeats} is too small", "use 1 or more")
        if sorted(set(self.contexts)) != list(self.contexts):
            raise OptionError("--contexts", f"{self.contexts} do not rise", "name each length once, shortest first")
        for context in self.contexts:
            self.at(context).check()

    def at(self, context: int) -> MemoryScope:
        """The same at one prompt length."""
        return MemoryScope(context, self.steps, self.chunk, self.start, self.dtype, self.research)


class CompareSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scope, and the methods by name."""

    scope: CompareScope
    methods: tuple[str, ...]


class CompareRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One method at one prompt length.

    Attributes:
        method: name.
        context: tokens of the prompt.
        tokens: in the cache at the end.
        prefill: seconds for the prompt, one timing per process, without the compression.
        upgrade: seconds for the compression of what was dense; None where nothing was.
        step: seconds of every decode step of every process.
        peaks: by phase, the highest of all processes.
        weights_bytes: of the model, in the peaks.
        cache_bytes: allocated at the end.
        used_bytes: of these, what the tokens take.
        codes_read: by attention, over all layers and processes.
    """

    method: str
    context: int
    tokens: int
    prefill: Timing
    upgrade: Timing | None
    step: Timing
    peaks: Peaks
    weights_bytes: int
    cache_bytes: int
    used_bytes: int
    codes_read: int

    @classmethod
    def of(cls, context: int, runs: Sequence[MemoryRow]) -> Self:
        """Sum up the processes of one method at one length."""
        upgrades = [run.peaks.upgrade for run in runs if run.peaks.upgrade is not None]
        return cls(
            method=runs[0].method,
            context=context,
            tokens=runs[0].tokens,
            prefill=Timing.of([run.seconds[0] for run in runs]),
            upgrade=Timing.of([run.seconds[1] for run in runs]) if upgrades else None,
            step=Timing.of([seconds for run in runs for seconds in run.step_seconds]),
            peaks=Peaks(
                prefill=max(run.peaks.prefill for run in runs),
                upgrade=max(upgrades, default=None),
                decode=max(run.peaks.decode for run in runs),
            ),
            weights_bytes=max(run.weights_bytes for run in runs),
            cache_bytes=max(run.cache_bytes for run in runs),
            used_bytes=max(run.used_bytes for run in runs),
            codes_read=sum(run.codes_read for run in runs),
        )

    @property
    def prefill_speed(self) -> float:
        """Prompt tokens per second."""
        return self.context / self.prefill.median

    @property
    def decode_speed(self) -> float:
        """Decoded tokens per second."""
        return 1 / self.step.median


CompareReport = Envelope[CompareSettings, CompareRow]
