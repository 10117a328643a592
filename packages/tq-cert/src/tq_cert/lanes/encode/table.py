"""An encode report for people."""

from collections.abc import Iterator

from tq_cert.lanes.encode.record import CodecRow, EncodeReport, StepRow, Timing
from tq_cert.lanes.tables import Grid


def grids(report: EncodeReport) -> Iterator[Grid]:
    """The cost per value; with a model, the share of a decode step."""
    codecs = [row for row in report.rows if isinstance(row, CodecRow)]
    steps = [row for row in report.rows if isinstance(row, StepRow)]
    measured = f"Measured {report.created} with {report.provenance.line}."
    spread = f"Medians of {report.settings.repeats} interleaved timings; ±: half the distance between the quartiles."
    if steps and report.model:
        yield Grid(
            title=f"Coding beside decoding: {report.model.name}, {report.settings.context} tokens of context",
            headings=("preset", "coded layers", "step ms", "±", "block ms", "±", "block tokens", "share of a step"),
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
                )
                for row in steps
            ),
            notes=(
                spread,
                "share: (block / block tokens) / step; a block codes keys and values of every coded layer.",
            ),
        )
    yield Grid(
        title=f"Coding and decoding one block, {report.settings.heads} heads",
        headings=("preset", "side", "codec", "D", "encode ns/value", "±", "M values/s", "decode ns/value", "±"),
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
            )
            for row in codecs
        ),
        notes=(spread, "Keys: less their mean where the preset centres them.", measured),
    )


def spread_of(timing: Timing) -> str:
    """Half the distance between the quartiles, in percent of the median."""
    return f"{(timing.high - timing.low) / 2 / timing.median:.0%}"
