"""events.jsonl: what upgrades did, appended to a file that the user names, one JSON object per line."""

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from tq_mlx.events import UpgradeEvent, UpgradeFailure


def check_appendable(path: Path | str) -> None:
    """Raise OSError unless lines can be appended to the file, which is created if it is missing."""
    os.close(opened(path))


def append_events(path: Path | str, events: Iterable[UpgradeEvent | UpgradeFailure]) -> None:
    """Append the events of one upgrade by one write, so that those of several processes do not mix.

    Raises:
        OSError: the file cannot be written, or not to the end.
    """
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    lines = [json.dumps({"time": time} | event.to_dict(), ensure_ascii=False) + "\n" for event in events]
    data = "".join(lines).encode()
    file = opened(path)
    try:
        written = os.write(file, data)
    finally:
        os.close(file)
    if written < len(data):
        raise OSError(f"{path}: only {written} of {len(data)} bytes of events could be written: free some space")


def opened(path: Path | str) -> int:
    """Return a descriptor whose writes go to the file's end, wherever that is by then."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
