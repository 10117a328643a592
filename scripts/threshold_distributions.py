"""Prints the distributions that the contract's measured quality bounds are set from, and the bounds that follow.

    python scripts/threshold_distributions.py docs/measurements/quality

The method is in docs/thresholds.md: windows of text are drawn with replacement, as many as there are, many times; the
bound is the 99.9 % quantile of the metric over the draws, times a margin for other text and other window lengths. Of
the 99th percentile of KL the reports have no positions: its bound is a larger margin on the value itself.
"""

import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tq_cert.lanes.quality.document import read
from tq_cert.lanes.quality.record import QualityReport, WindowMeasurement
from tq_cert.lanes.quality.statistics import mean, quantile
from tq_contract import load

BASELINE = "mlx:kv4"
DRAWS = 20_000
SHARE = 0.999
MARGIN = 1.5
PERCENTILE_MARGIN = 2.0
SEED = 0
DIGITS = 2

Windows = Sequence[WindowMeasurement]


def kl_ratio(ours: Windows, theirs: Windows) -> float:
    """Mean KL over the baseline's, on the same windows."""
    return mean([window.kl for window in ours]) / mean([window.kl for window in theirs])


def flip_rate(ours: Windows, theirs: Windows) -> float:
    """Share of positions at which the likeliest token differs."""
    return sum(window.flips for window in ours) / sum(window.positions for window in ours)


def upper(metric: Callable[[Windows, Windows], float], ours: Windows, theirs: Windows) -> float:
    """The quantile of the metric over drawn windows."""
    draw = random.Random(SEED)  # noqa: S311 (statistics, not secrets)
    indices = range(len(ours))
    drawn = (draw.choices(indices, k=len(ours)) for _ in range(DRAWS))
    return quantile([metric([ours[i] for i in chosen], [theirs[i] for i in chosen]) for chosen in drawn], SHARE)


def rounded_up(value: float) -> float:
    """To two digits, upwards."""
    unit = 10.0 ** (math.floor(math.log10(value)) + 1 - DIGITS)
    return round(math.ceil(value / unit) * unit, 10)


def rows(reports: Sequence[QualityReport]) -> Iterator[tuple[str, str, str, float, float, float]]:
    """Family, preset, metric, its value, its upper quantile and the bound."""
    names = tuple(preset.name for preset in load().presets if preset.classification == "supported")
    for family in (family.name for family in load().families if family.allowlisted):
        own = [report for report in reports if report.model and report.model.family == family]
        found = {row.method: row for report in own for row in report.rows}
        for name in names:
            p99 = found[f"preset:{name}"].kl.p99
            yield family, name, "p99_kl", p99, p99, rounded_up(PERCENTILE_MARGIN * p99)
            for metric in (kl_ratio, flip_rate):
                ours, theirs = found[f"preset:{name}"].windows, found[BASELINE].windows
                high = upper(metric, ours, theirs)
                yield family, name, metric.__name__, metric(ours, theirs), high, rounded_up(MARGIN * high)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: threshold_distributions.py FOLDER, with the quality lane's reports; see docs/thresholds.md")
    print(f"| family | preset | metric | measured | {SHARE:.1%} of draws below | bound |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for family, preset, metric, value, high, bound in rows(list(read(Path(sys.argv[1])))):
        print(f"| {family} | {preset} | {metric} | {value:.4f} | {high:.4f} | {bound:g} |")
