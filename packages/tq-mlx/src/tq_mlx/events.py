"""What an upgrade did, layer by layer, or why it failed: written nowhere unless asked (see ``event_file``)."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class UpgradeEvent:
    """One layer's outcome.

    Attributes:
        layer: index in the cache list.
        compressed: whether the layer is stored as codes from now on.
        reason: why, or why not.
        before: class name of the cache that was there.
        after: class name of the cache that is there now.
        offset: tokens held at that moment.
        old_bytes: bytes allocated before.
        new_bytes: bytes allocated after.
        family: model family by which the layer was admitted.
        research: that family is research-only: its user opted in.
        config: the configuration's label: its preset, or "custom:" and its fingerprint's start.
        keys: codec of this layer's keys, such as "mse 4"; "dense" where it was not compressed.
        values: codec of this layer's values.
    """

    layer: int
    compressed: bool
    reason: str
    before: str
    after: str
    offset: int
    old_bytes: int
    new_bytes: int
    family: str
    research: bool
    config: str
    keys: str
    values: str

    @property
    def ratio(self) -> float:
        """New bytes over old bytes; 1 where nothing was stored."""
        return self.new_bytes / self.old_bytes if self.old_bytes else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return every field, and the ratio, as JSON values."""
        return {"event": "upgrade"} | asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True)
class UpgradeFailure:
    """An upgrade that was refused or failed.

    Attributes:
        error: class name of the exception.
        message: what it says.
        rollback: the cache list is as it was before; False where some layers had been exchanged already.
        family: model family that was named.
        config: the configuration's label.
    """

    error: str
    message: str
    rollback: bool
    family: str | None
    config: str

    def to_dict(self) -> dict[str, Any]:
        """Return every field as JSON values."""
        return {"event": "failure"} | asdict(self)
