"""A family's model generates from a compressed cache: finite logits, codes read at every step, text that is text."""

from tq_cert.lanes.models import LoadedModel
from tq_cert.lanes.prefill import Caches, prefilled
from tq_cert.stages.compressed_run import Decoded, decode, not_read, to_compress, upgraded
from tq_cert.stages.recorder import At, Recorder, check
from tq_cert.stages.setting import Setting


def measure(setting: Setting, recorder: Recorder) -> None:
    """Generate with every preset of the stage behind one dense prefill."""
    for family in setting.families:
        loaded = setting.model(family)
        (tokens,) = setting.windows(family, context=setting.sizes.smoke_prompt)
        dense = prefilled(loaded.model, tokens[:-1], setting.sizes.chunk)
        for preset in setting.stage.presets:
            with recorder.case(f"{family} generates with {preset}"):
                generate(setting, recorder, family, preset, dense, tokens[-1])


def generate(setting: Setting, recorder: Recorder, family: str, preset: str, dense: Caches, last: int) -> None:
    """Generate with one preset and record what came of it."""
    loaded, steps = setting.model(family), setting.sizes.smoke_tokens
    caches = upgraded(dense, preset, family)
    decoded = decode(loaded.model, caches, last, steps)
    at = At(family, preset, setting.sizes.smoke_prompt)
    recorder.add("layers_not_read", "layers", [not_read(caches, to_compress(dense), steps)], at)
    recorder.add("non_finite_logits", "logits", [decoded.non_finite], at)
    check(bool(text_of(loaded, decoded).strip()), "what was generated is no text")


def text_of(loaded: LoadedModel, decoded: Decoded) -> str:
    """What was fed after the prompt, as text."""
    return str(loaded.tokenizer.decode(list(decoded.tokens[1:])))
