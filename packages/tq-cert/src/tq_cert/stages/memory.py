"""Peak memory of prefill, upgrade and decode stays below the dense run's, and the cache is as small as it should be.

Each run is a process of its own, because a peak belongs to a process.
"""

import msgspec

from tq_cert.lanes.memory.lane import run
from tq_cert.lanes.memory.record import Job, MemoryRow, MemoryScope
from tq_cert.lanes.quality.methods import DENSE, parse_method
from tq_cert.stages.recorder import At, Recorder, check
from tq_cert.stages.setting import Setting


def measure(setting: Setting, recorder: Recorder) -> None:
    """Run every family dense and with every preset."""
    sizes = setting.sizes
    for family in setting.families:
        at = At(family, context=sizes.long_prompt)
        with recorder.case(f"{family}: dense"):
            row = generation(setting, family, DENSE)
            recorder.add("dense_peak_bytes", "bytes", [row.peaks.overall - row.weights_bytes], at)
            recorder.add("dense_cache_bytes", "bytes", [row.cache_bytes], at)
        for preset in setting.stage.presets:
            with recorder.case(f"{family}: {preset}"):
                row, own = generation(setting, family, f"preset:{preset}"), at.with_preset(preset)
                recorder.add("peak_bytes", "bytes", [row.peaks.overall - row.weights_bytes], own)
                recorder.add("cache_bytes", "bytes", [row.cache_bytes], own)
                recorder.add("context_tokens", "tokens", [row.tokens - sizes.memory_steps + 1], own)
                check(row.codes_read > 0, "no codes were read")


def generation(setting: Setting, family: str, method: str) -> MemoryRow:
    """Prefill, compress and decode in a process of its own."""
    sizes = setting.sizes
    scope = MemoryScope(context=sizes.long_prompt, steps=sizes.memory_steps, chunk=sizes.chunk)
    parameters = msgspec.to_builtins(parse_method(method).parameters)
    return run(Job(setting.model_name(family), None, method, parameters, scope))
