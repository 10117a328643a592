"""What every lane's report has in common: one record, written and read as JSON."""

from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from tq_cert.lanes.provenance import Provenance

SCHEMA_VERSION = 1

Settings = TypeVar("Settings")
Row = TypeVar("Row")


class ModelInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model that was measured.

    Attributes:
        name: title of a sample model, or the directory's name.
        family: of the contract, or None.
        model_type: mlx-lm's name of the architecture.
        weights_sha256: of the weights file; of the list of files and digests where there are several.
        config_sha256: of config.json.
        dtype: of keys and values.
        layers: that hold a cache.
        head_dims: every head dimension of keys and values, ascending.
    """

    name: str
    family: str | None
    model_type: str
    weights_sha256: str
    config_sha256: str
    dtype: str
    layers: int
    head_dims: tuple[int, ...]


class TextInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text that was measured on.

    Attributes:
        name: of the file or of the built-in text.
        sha256: of its bytes.
        tokens: that the windows hold together.
        bos: whether every window begins with the tokenizer's BOS.
    """

    name: str
    sha256: str
    tokens: int
    bos: bool


class Envelope(msgspec.Struct, Generic[Settings, Row], frozen=True, forbid_unknown_fields=True):
    """One lane's report.

    Attributes:
        lane: which lane.
        schema_version: of this record.
        created: UTC, ISO 8601.
        settings: what the command was asked to do.
        provenance: what it ran on.
        model: None for a lane without one.
        text: None for a lane without one.
        rows: the results.
    """

    lane: str
    schema_version: int
    created: str
    settings: Settings
    provenance: Provenance
    model: ModelInfo | None
    text: TextInfo | None
    rows: tuple[Row, ...]

    @property
    def model_name(self) -> str:
        """The model's name; a question mark for a lane without one."""
        return self.model.name if self.model else "?"

    @property
    def origin(self) -> str:
        """Where the numbers come from, in one line for people: when, on what, from which sources, weights and text."""
        line = f"{self.created}, {self.provenance.line}; sources {self.provenance.sources_sha256[:16]}…"
        line += f", weights {self.model.weights_sha256[:16]}…" if self.model else ""
        return line + (f", text {self.text.name}, SHA-256 {self.text.sha256[:16]}…" if self.text else "")


def report_of(
    lane: str,
    settings: Settings,
    provenance: Provenance,
    rows: tuple[Row, ...],
    *,
    model: ModelInfo | None = None,
    text: TextInfo | None = None,
) -> Envelope[Settings, Row]:
    """The report of what was measured until now."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Envelope(lane, SCHEMA_VERSION, created, settings, provenance, model, text, rows)


def to_json(envelope: Envelope[Settings, Row]) -> bytes:
    """The report as indented JSON with a final line break."""
    return msgspec.json.format(msgspec.json.encode(envelope), indent=2) + b"\n"
