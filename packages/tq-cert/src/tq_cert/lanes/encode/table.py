"""An encode report for people."""

from collections.abc import Iterator

from tq_cert.lanes.encode.record import CodecRow, EncodeReport, StepRow, Timing
from tq_cert.lanes.tables import TIMES, Grid


def grids(report: EncodeReport) -> Iterator[Grid]:
    """The cost per value; with a model, the share of a decode step."""
    codecs = [row for row in report.rows if isinstance(row, CodecRow)]
    steps = [row for row in report.rows if isinstance(row, StepRow)]
    kernels = any(row.fused for row in codecs)
    measured = f"Measured {report.created} with {report.provenance.line}."
    tokens = f"{report.settings.tokens} tokens" if report.settings.tokens else "one block"
    spread = f"Medians of {report.settings.repeats} interleaved timings; ±: half the distance between the quartiles."
    if steps and report.model:
        yield Grid(
            title=f"Coding beside decoding: {report.model.name}, {report.settings.context} tokens of context",
            headings=(
                *("preset", "coded layers", "step ms", "±", "block ms", "±", "block tokens", "share of a step"),
                *(("reference ms", "±", f"{TIMES} block") if kernels else ()),
            ),
            rows=tuple(
                (
                    row.preset,
                    f"{row.compressed_layers}/{row.layers}",
                    f"{row.step.median * 1e3:.2f}",
                    spread_of(row.step),
                    f"{row.block.median * 1e3:.2f}",
                    spread_of(row.block),
                    str(row.block_tokens),
                    f"{row.share:.2%}",
                    *(beside(row.reference, 1e3, row.reference, row.block) if kernels else ()),
                )
                for row in steps
            ),
            notes=(
                spread,
                "share: (block / block tokens) / step; a block codes keys and values of every coded layer.",
            ),
        )
    yield Grid(
        title=f"Coding and decoding {tokens}, {report.settings.heads} heads",
        headings=(
            *("preset", "side", "codec", "D", "encode ns/value", "±", "M values/s", "decode ns/value", "±"),
            *(("fused encode ns/value", "±", f"encode {TIMES} fused") if kernels else ()),
        ),
        rows=tuple(
            (
                row.preset,
                row.side,
                row.codec,
                str(row.head_dim),
                f"{row.encode.median / row.values * 1e9:.1f}",
                spread_of(row.encode),
                f"{row.values / row.encode.median / 1e6:.2f}",
                f"{row.decode.median / row.values * 1e9:.1f}",
                spread_of(row.decode),
                *(beside(row.fused, 1e9 / row.values, row.encode, row.fused) if kernels else ()),
            )
            for row in codecs
        ),
        notes=(spread, "Keys: less their mean where the preset centres them.", measured),
    )


def beside(timing: Timing | None, units: float, slow: Timing | None, fast: Timing | None) -> tuple[str, str, str]:
    """A timing in so many units a second, its spread, and by how much one is slower than another; or nothing."""
    if timing is None or slow is None or fast is None:
        return ("", "", "")
    return (f"{timing.median * units:.3g}", spread_of(timing), f"{slow.median / fast.median:.1f}")


def spread_of(timing: Timing) -> str:
    """Half the distance between the quartiles, in percent of the median."""
    return f"{(timing.high - timing.low) / 2 / timing.median:.0%}"
