"""The quality lane as a whole: every pending window and method measured, every row summed up."""

from collections.abc import Sequence
from functools import partial

import tq_mlx  # first: it loads OpenBLAS before MLX is imported

# isort: split
import mlx.core as mx
import msgspec

from tq_cert.lanes.journal import Journal, key_of
from tq_cert.lanes.models import LoadedModel
from tq_cert.lanes.provenance import Provenance
from tq_cert.lanes.quality.caches import build_caches, check_methods, dense_caches
from tq_cert.lanes.quality.measure import Contender, measure_window
from tq_cert.lanes.quality.methods import Dense, Method
from tq_cert.lanes.quality.record import QualityRow, WindowMeasurement
from tq_cert.lanes.quality.settings import Scope
from tq_cert.lanes.quality.summary import summarize
from tq_cert.lanes.texts import Windows
from tq_cert.progress import Progress

MOST_CONTENDERS = 12
"""Methods that run beside one dense run; more of them take another dense run, which bounds memory."""

SHOWN = 6
"""Methods that a line of progress names."""

Measurements = Journal[WindowMeasurement]


def quality_rows(
    loaded: LoadedModel,
    windows: Windows,
    methods: Sequence[Method],
    scope: Scope,
    provenance: Provenance,
    journal: Measurements,
    progress: Progress,
    *,
    keep_positions: bool = False,
) -> tuple[QualityRow, ...]:
    """Measure what the journal lacks and return one row per method, in their order.

    Raises:
        TqCertError: one of its subclasses: a method does not serve the model, or its codes were not read.
        tq_core.TurboQuantError: the runtime refuses in the middle of a window.
    """
    check_methods(methods, loaded.info.head_dims, loaded.model, scope)
    lane = Lane(loaded, windows, scope, provenance, journal, progress)
    with tq_mlx.hooks_installed():
        lane.measure(methods)
    return tuple(
        summarize(method.parameters, lane.finished(method), keep_positions=keep_positions) for method in methods
    )


class Lane:
    """What all windows and methods of one report share."""

    def __init__(
        self,
        loaded: LoadedModel,
        windows: Windows,
        scope: Scope,
        provenance: Provenance,
        journal: Measurements,
        progress: Progress,
    ) -> None:
        self.loaded = loaded
        self.windows = windows
        self.scope = scope
        self.journal = journal
        self.progress = progress
        self.fed = 0
        # The number of windows decides nothing about any one of them: more of them can be asked for later.
        common = msgspec.structs.replace(scope, windows=0)
        self.shared = {"model": loaded.info, "scope": common, "provenance": provenance}

    def key(self, method: Method, window: int) -> str:
        """The journal's key of one method on one window."""
        tokens = self.windows.tokens[window]
        return key_of(**self.shared, name=method.name, parameters=method.parameters, window=window, tokens=tokens)

    def finished(self, method: Method) -> list[WindowMeasurement]:
        """The method's measurements that the journal has, by window."""
        found = (self.journal.get(self.key(method, window)) for window in range(len(self.windows.tokens)))
        return [measurement for measurement in found if measurement is not None]

    def measure(self, methods: Sequence[Method]) -> None:
        """Measure every window and method that the journal lacks."""
        groups = [
            (window, group)
            for window in range(len(self.windows.tokens))
            for group in grouped([m for m in methods if self.journal.get(self.key(m, window)) is None])
        ]
        done = len(methods) * len(self.windows.tokens) - sum(len(group) for _, group in groups)
        if done:
            self.progress.note(f"{done} measurements are there already, from an interrupted run")
        runs = sum(len(group) + 1 for _, group in groups)
        self.progress.phase(self.loaded.info.name, runs * self.scope.context)
        for window, group in groups:
            self.measure_group(window, group)

    def measure_group(self, window: int, methods: Sequence[Method]) -> None:
        """Measure some methods on one window, beside one dense run."""
        model, scope = self.loaded.model, self.scope
        contenders = [
            Contender(m.name, partial(build_caches, m, model, scope), not isinstance(m, Dense)) for m in methods
        ]
        measure_window(
            model,
            self.windows.tokens[window],
            dense_caches(model, scope),
            contenders,
            chunk=scope.chunk,
            step=self.step,
        )
        kls: list[str] = []
        for method, contender in zip(methods, contenders, strict=True):
            result = contender.measurement(window)
            self.journal.add(self.key(method, window), result)
            kls.append(f"{method.name} {result.kl:.4g}")
        mx.clear_cache()
        self.progress.note(f"window {window + 1} of {len(self.windows.tokens)}: mean KL {shortened(kls)}")

    def step(self, tokens: int) -> None:
        """Count tokens that were fed."""
        self.fed += tokens
        self.progress.reach(self.fed)


def grouped(methods: Sequence[Method]) -> list[Sequence[Method]]:
    """The methods in groups that run beside one dense run."""
    return [methods[first : first + MOST_CONTENDERS] for first in range(0, len(methods), MOST_CONTENDERS)]


def shortened(parts: Sequence[str]) -> str:
    """As many of the parts as a line holds, and how many there are besides."""
    rest = [f"{len(parts) - SHOWN} more"] if len(parts) > SHOWN else []
    return ", ".join([*parts[:SHOWN], *rest])
