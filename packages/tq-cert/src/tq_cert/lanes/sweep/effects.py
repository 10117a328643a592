"""What each lever is worth: pairs of grid points that differ in nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tq_cert.lanes.quality.statistics import mean
from tq_cert.lanes.sweep.grid import LEVERS, GridPoint
from tq_cert.lanes.sweep.record import SweepRow


@dataclass(frozen=True)
class Effect:
    """KL with a lever on over KL with it off.

    Attributes:
        lever: which one.
        pairs: of grid points.
        ratio: geometric mean over the pairs.
        least: smallest ratio.
        most: largest ratio.
        bits: mean of the stored bits that the lever adds.
    """

    lever: str
    pairs: int
    ratio: float
    least: float
    most: float
    bits: float


def effects(rows: Sequence[SweepRow]) -> list[Effect]:
    """The effect of every lever that was switched."""
    by_point = {row.point: row.quality for row in rows if row.point is not None}
    found: list[Effect] = []
    for lever in LEVERS:
        pairs = [
            (by_point[point], by_point[switched])
            for point in by_point
            if getattr(point, lever) and (switched := off(point, lever)) in by_point
        ]
        if pairs:
            ratios = [on.kl.mean / without.kl.mean for on, without in pairs]
            found.append(
                Effect(
                    lever=lever,
                    pairs=len(pairs),
                    ratio=math.exp(mean([math.log(ratio) for ratio in ratios])),
                    least=min(ratios),
                    most=max(ratios),
                    bits=mean([on.stored_bits.model16 - without.stored_bits.model16 for on, without in pairs]),
                )
            )
    return found


def off(point: GridPoint, lever: str) -> GridPoint:
    return msgspec.structs.replace(point, **{lever: False})
