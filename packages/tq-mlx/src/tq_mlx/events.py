"""What an upgrade did, layer by layer: returned by ``upgrade_cache_list``, written nowhere unless asked."""

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
        return asdict(self) | {"ratio": self.ratio}
