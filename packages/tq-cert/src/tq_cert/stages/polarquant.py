"""PolarQuant runs on both families, and its codes err as much as the theory says."""

from tq_cert.lanes.layer_error.measure import coded_errors
from tq_cert.lanes.prefill import prefilled
from tq_cert.stages.compressed_run import to_compress, upgraded
from tq_cert.stages.generation_smoke import generate
from tq_cert.stages.recorder import At, Recorder, check
from tq_cert.stages.setting import Setting


def measure(setting: Setting, recorder: Recorder) -> None:
    """Compress a real prompt on every family, compare what the codes hold with what went in, and generate."""
    for family in setting.families:
        (tokens,) = setting.windows(family, context=setting.sizes.smoke_prompt)
        dense = prefilled(setting.model(family).model, tokens[:-1], setting.sizes.chunk)
        for preset in setting.stage.presets:
            with recorder.case(f"{family}: errors of the codes of {preset}"):
                caches = upgraded(dense, preset, family)
                errors = [coded_errors(caches[index], dense[index]) for index in to_compress(dense)]
                sides = [one for one in errors if one is not None]
                check(
                    0 < len(sides) == len(errors), f"{len(sides)} of {len(errors)} layers to be compressed hold codes"
                )
                for side, values in zip(("key_error", "value_error"), zip(*sides, strict=True), strict=True):
                    recorder.add(side, "relative", values, At(family, preset, setting.sizes.smoke_prompt))
            with recorder.case(f"{family} generates with {preset}"):
                generate(setting, recorder, family, preset, dense, tokens[-1])
