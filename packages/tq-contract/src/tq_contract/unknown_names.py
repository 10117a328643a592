"""The errors for a preset or family that the contract does not name."""

from difflib import get_close_matches


class UnknownNameError(LookupError):
    """A name that the contract does not know.

    Attributes:
        value: what was asked for.
        known: the names that would have been found.
        closest: the known name most like `value`, or None.
    """

    kind = "name"

    def __init__(self, value: object, known: tuple[str, ...]) -> None:
        self.value = value
        self.known = known
        matches = get_close_matches(value.lower(), known, n=1) if isinstance(value, str) else []
        self.closest = matches[0] if matches else None
        super().__init__(value, known)

    def __str__(self) -> str:
        hint = f" Did you mean {self.closest!r}?" if self.closest else ""
        return f"unknown {self.kind} {self.value!r}.{hint} Known: {', '.join(self.known)}."


class UnknownPresetError(UnknownNameError):
    """A preset name or alias that the contract does not know."""

    kind = "preset"


class UnknownFamilyError(UnknownNameError):
    """A family name that the contract does not know."""

    kind = "model family"
