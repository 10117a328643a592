"""Waivers: findings that are accepted, each for a reason; one that nothing needs any more is itself a finding."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tq_contract.checks.checkout import Checkout, CheckoutError, line_of
from tq_contract.checks.finding import Finding

FILE = "waivers.toml"
CHECK = "waivers"


class Waiver(Struct, frozen=True, forbid_unknown_fields=True):
    """An accepted finding.

    Attributes:
        check: the check that finds it.
        file: where, as in the finding; the line may change.
        message: a part of the finding's message.
        reason: why it is right as it is.
    """

    check: str
    file: str
    message: Annotated[str, Meta(min_length=1)]
    reason: Annotated[str, Meta(min_length=20)]

    def covers(self, check: str, finding: Finding) -> bool:
        """Say whether it accepts this finding."""
        return (check, finding.file) == (self.check, self.file) and self.message in finding.message


class _Waivers(Struct, frozen=True, forbid_unknown_fields=True):
    waiver: tuple[Waiver, ...] = ()


def read(checkout: Checkout) -> tuple[Waiver, ...]:
    """Return the checkout's waivers; none where it has no file of them.

    Raises:
        CheckoutError: the file is not a list of waivers.
    """
    if not (checkout.root / FILE).exists():
        return ()
    try:
        return msgspec.toml.decode(checkout.read(FILE), type=_Waivers).waiver
    except msgspec.MsgspecError as error:
        raise CheckoutError(f"{FILE}: {error}. A [[waiver]] has check, file, message and a reason.") from error


def unused(checkout: Checkout, waivers: Sequence[Waiver], used: set[Waiver], known: Sequence[str]) -> Iterator[Finding]:
    """Yield the waivers that accepted nothing, and those of no check."""
    text = checkout.read(FILE) if waivers else ""
    for waiver in waivers:
        line = line_of(text, f'message = "{waiver.message}"')
        if waiver.check not in known:
            yield Finding(FILE, line, f"waives {waiver.check}, which is no check", f"Known: {', '.join(known)}.")
        elif waiver not in used:
            message = f"waives {waiver.message!r} in {waiver.file}, which {waiver.check} does not find"
            yield Finding(FILE, line, message, "Remove the waiver.")
