"""What the exit status of a command means."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The statuses that the project's commands share."""

    GOOD = 0
    FINDINGS = 1
    USAGE_OR_IO = 2
    REFUSED = 3
