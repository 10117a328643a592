"""What an encode measurement is asked to do."""

import msgspec

from tq_cert.errors import OptionError

HEAD_DIMS = (64, 128, 256)


class EncodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every row of one report has in common.

    Attributes:
        presets: measured, by name.
        head_dims: of the vectors that are coded without a model.
        heads: of the same.
        tokens: of the same; None for the presets' blocks.
        repeats: timings of each row, one of every row in turn.
        context: tokens in the cache when a decode step of the model is timed.
        research: the support gate admits a research-only family too.
    """

    presets: tuple[str, ...]
    head_dims: tuple[int, ...] = HEAD_DIMS
    heads: int = 8
    tokens: int | None = None
    repeats: int = 9
    context: int = 1024
    research: bool = False

    def check(self) -> None:
        """Raise OptionError for numbers out of range."""
        for option, value, least in (
            ("--heads", self.heads, 1),
            ("--tokens", 1 if self.tokens is None else self.tokens, 1),
            ("--repeats", self.repeats, 3),
            ("--context", self.context, 1),
        ):
            if value < least:
                raise OptionError(option, f"{value} is too small", f"use {least} or more")
