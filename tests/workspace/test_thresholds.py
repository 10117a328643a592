"""The contract's measured bounds on quality are what docs/thresholds.md's method makes of the committed reports."""

import runpy
from pathlib import Path

from tq_cert.lanes.quality.document import read
from tq_contract import load

ROOT = Path(__file__).parents[2]
NAMES = {"kl_ratio": "mean_kl_ratio"}


def test_every_measured_bound_follows_from_the_reports_and_no_target_is_looser():
    script = runpy.run_path(str(ROOT / "scripts" / "threshold_distributions.py"))
    bounds = {
        (NAMES.get(metric, metric), family, preset): bound
        for family, preset, metric, _, _, bound in script["rows"](list(read(ROOT / "docs/measurements/quality")))
    }
    (stage,) = (one for one in load().certification.stages if one.name == "preset_quality")
    computed = [one for one in stage.thresholds if one.metric in {metric for metric, _, _ in bounds}]
    assert {(one.metric, family, one.preset) for one in computed for family in one.families} == bounds.keys()
    for one in computed:
        loosest = max(bounds[one.metric, family, one.preset] for family in one.families)
        assert one.value == loosest if one.source == "measured" else one.value <= loosest, one
