"""One gate on one stage's series: its value for every family and preset that it holds for, and whether it is kept."""

from collections.abc import Iterator, Sequence

import msgspec

from tq_cert.evidence.measure import NotMeasurableError, measured
from tq_cert.evidence.policy.edition import Edition, Gate, StagePolicy
from tq_cert.evidence.stage_record import Series


class GateResult(msgspec.Struct, frozen=True):
    """What became of one gate for one family and preset.

    Attributes:
        metric: of the contract.
        family: or None in a stage without models.
        preset: or None in a stage without presets.
        bound: which side of the limit is kept.
        limit: of the metric.
        value: of the metric, or None where the samples give none.
        samples: that the value comes from.
        kept: whether the bound is.
        problem: why it is not; None if it is.
    """

    metric: str
    family: str | None
    preset: str | None
    bound: str
    limit: float
    value: float | None
    samples: int
    kept: bool
    problem: str | None

    @property
    def whose(self) -> str:
        """Family and preset, as far as there are any."""
        return ", ".join(name for name in (self.family, self.preset) if name)

    @property
    def wanted(self) -> str:
        """The bound in words, such as "at most 1.1"."""
        return in_words(self.bound, self.limit)


def in_words(bound: str, limit: float) -> str:
    """A bound as people read it."""
    return f"{bound.replace('_', ' ')} {limit:g}"


def judge(
    stage: StagePolicy, series: Sequence[Series], families: Sequence[str], edition: Edition
) -> tuple[GateResult, ...]:
    """Every gate of the stage, for every family in scope and every preset."""
    return tuple(result for gate in stage.gates for result in _judge(gate, stage, series, families, edition))


def _judge(
    gate: Gate, stage: StagePolicy, series: Sequence[Series], families: Sequence[str], edition: Edition
) -> Iterator[GateResult]:
    of_families = [name for name in gate.families if name in families] if gate.families else [None]
    presets = (gate.preset,) if gate.preset else stage.presets or (None,)
    for family in of_families:
        for preset in presets:
            yield _result(gate, series, family, preset, edition)


def _result(
    gate: Gate, series: Sequence[Series], family: str | None, preset: str | None, edition: Edition
) -> GateResult:
    try:
        value, samples = measured(edition.measure(gate.metric), series, family, preset)
    except NotMeasurableError as error:
        return GateResult(gate.metric, family, preset, gate.bound, gate.value, None, 0, kept=False, problem=str(error))
    kept = _keeps(value, gate)
    problem = None if kept else f"{value:.6g} is not {in_words(gate.bound, gate.value)}"
    return GateResult(gate.metric, family, preset, gate.bound, gate.value, value, samples, kept, problem)


def _keeps(value: float, gate: Gate) -> bool:
    match gate.bound:
        case "at_most":
            return value <= gate.value
        case "below":
            return value < gate.value
        case "at_least":
            return value >= gate.value
        case "above":
            return value > gate.value
