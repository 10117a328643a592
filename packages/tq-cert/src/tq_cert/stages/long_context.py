"""Long prompts and long answers stay finite and compressed."""

from typing import Any

from tq_cert.lanes.prefill import prefilled
from tq_cert.stages.compressed_run import decode, not_read, to_compress, upgraded
from tq_cert.stages.recorder import At, Recorder, check
from tq_cert.stages.setting import Setting
from tq_mlx import status
from tq_mlx.teacher_forcing import prefill

BLOCK_READS = 1
"""Times that the last chunk of the prompt, fed after the upgrade, has codes read."""


def measure(setting: Setting, recorder: Recorder) -> None:
    """Prefill a long prompt, its last chunk over codes, and generate."""
    sizes = setting.sizes
    for family in setting.families:
        model = setting.model(family).model
        (tokens,) = setting.windows(family, context=sizes.long_prompt + 1)
        first, rest = tokens[: sizes.long_prompt - sizes.chunk], tokens[sizes.long_prompt - sizes.chunk : -1]
        dense = prefilled(model, first, sizes.chunk)
        for preset in setting.stage.presets:
            with recorder.case(f"{family} goes on for {sizes.long_tokens} tokens with {preset}"):
                caches = upgraded(dense, preset, family)
                prefill(model, rest, caches, sizes.chunk)
                at = At(family, preset, sizes.long_prompt)
                recorder.add("context_tokens", "tokens", [caches[0].offset], at)
                before = coded(caches)
                decoded = decode(model, caches, tokens[-1], sizes.long_tokens)
                recorder.add("generated_tokens", "tokens", [len(decoded.tokens)], at)
                recorder.add("non_finite_logits", "logits", [decoded.non_finite], at)
                unread = not_read(caches, to_compress(dense), BLOCK_READS + sizes.long_tokens)
                recorder.add("layers_not_read", "layers", [unread], at)
                check(coded(caches) > before, "nothing was coded while the answer grew")


def coded(caches: list[Any]) -> int:
    """Bytes that the layers hold less than dense ones would."""
    own = status(caches)
    return own.dense_bytes - own.nbytes
