"""The records of a decode report."""

import msgspec

from tq_cert.lanes.decode.settings import DecodeSettings, Shape
from tq_cert.lanes.envelope import Envelope
from tq_cert.lanes.timing import Times


class CopyRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="copy", tag_field="kind"):
    """What the device copies: the bandwidth that shares are of.

    Attributes:
        nbytes: read and written by one copy, both counted.
        times: of one copy.
        bandwidth: of the fastest copy, in bytes per second.
    """

    nbytes: int
    times: Times
    bandwidth: float


class AttentionRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="attention", tag_field="kind"):
    """One new token's attention over one history.

    Attributes:
        method: dense, mlx:kv4 or preset:NAME.
        dtype: of the queries, and of what is stored dense.
        shape: heads and head dimension.
        batch: rows.
        context: tokens.
        path: how the products with codes are taken; empty where nothing is coded.
        nbytes: that one layer's attention reads: live tokens, everything included.
        times: of one layer; None where it could not be measured.
        problem: why it could not be measured; None where it was.
        caches: different ones that the chain's layers attend over.
    """

    method: str
    dtype: str
    shape: Shape
    batch: int
    context: int
    path: str
    nbytes: int
    times: Times | None
    problem: str | None
    caches: int = 1


class StepRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="step", tag_field="kind"):
    """A model's whole decode step.

    Attributes:
        method: dense, mlx:kv4 or preset:NAME.
        context: tokens in the cache.
        compressed_layers: whose cache is not the model's own.
        layers: in all.
        cache_bytes: allocated by all layers, growth capacity included.
        times: of one step, no block being coded in it; None where it could not be measured.
        problem: why it could not be measured; None where it was.
    """

    method: str
    context: int
    compressed_layers: int
    layers: int
    cache_bytes: int
    times: Times | None
    problem: str | None


DecodeRow = CopyRow | AttentionRow | StepRow
DecodeReport = Envelope[DecodeSettings, DecodeRow]
