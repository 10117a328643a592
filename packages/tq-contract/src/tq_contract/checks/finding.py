"""What a static check found."""

from msgspec import Struct


class Finding(Struct, frozen=True, order=True):
    """One statement of the checkout that does not agree with the contract.

    Attributes:
        file: path within the checkout, with forward slashes.
        line: counted from 1; 0 is the whole file.
        message: what is wrong there.
        remedy: what to do about it.
    """

    file: str
    line: int
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}. {self.remedy}"
