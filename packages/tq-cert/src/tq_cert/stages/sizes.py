"""How much the stages measure: the numbers of a certification, which meet the contract's least numbers."""

import msgspec


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lengths in tokens, and counts.

    Attributes:
        chunk: tokens of a prompt that are fed at a time.
        smoke_prompt: of the smoke, PolarQuant, batch and persistence stages.
        smoke_tokens: new ones in those stages.
        quality_lengths: of the windows of text on which presets are compared: short, medium, long; where every layer
            of a family is a plain cache for evaluation, windows longer than its sliding window are cut to that.
        quality_windows: of each length.
        long_prompt: of the long-context and memory stages, and the longest of the sweep.
        long_tokens: new ones behind it.
        sweep_prompts: the sweep's other lengths.
        sweep_steps: timed decode steps of each method and length.
        memory_steps: decode steps of which the peak is taken.
    """

    chunk: int = 512
    smoke_prompt: int = 320
    smoke_tokens: int = 16
    quality_lengths: tuple[int, ...] = (64, 128, 320)
    quality_windows: int = 3
    long_prompt: int = 4096
    long_tokens: int = 256
    sweep_prompts: tuple[int, ...] = (256, 1024)
    sweep_steps: int = 21
    memory_steps: int = 8
