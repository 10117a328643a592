"""The records of an encode report."""

import msgspec

from tq_cert.lanes.encode.settings import EncodeSettings
from tq_cert.lanes.envelope import Envelope
from tq_cert.lanes.timing import Timing


class CodecRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="codec", tag_field="kind"):
    """What one side of a preset costs, on Gaussian vectors.

    Attributes:
        preset: name.
        side: keys (their mean is taken off first where the preset centres keys) or values.
        codec: its name and bits.
        head_dim: of the vectors.
        dtype: of the vectors.
        values: numbers that are coded at a time, over all heads.
        encode: of coding them without a kernel.
        decode: of decoding them.
        fused: of coding them by the fused kernel; None where there is none.
    """

    preset: str
    side: str
    codec: str
    head_dim: int
    dtype: str
    values: int
    encode: Timing
    decode: Timing
    fused: Timing | None


class StepRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="step", tag_field="kind"):
    """What coding adds to decoding with one preset on one model.

    Attributes:
        preset: name.
        compressed_layers: that code their tokens.
        layers: in all.
        block_tokens: over which the coding of one block is spread.
        step: of decoding one token, without any coding.
        block: of appending and coding one block on every compressed layer, by the cache itself.
        share: the median block over block_tokens, as a fraction of the median step.
        reference: of the same block without kernels; None where there are none.
    """

    preset: str
    compressed_layers: int
    layers: int
    block_tokens: int
    step: Timing
    block: Timing
    share: float
    reference: Timing | None


EncodeReport = Envelope[EncodeSettings, CodecRow | StepRow]
