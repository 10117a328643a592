"""An encode report for people."""

from collections.abc import Iterator, Sequence

from tq_cert.lanes.encode.record import CodecRow, EncodeReport, StepRow
from tq_cert.lanes.tables import TIMES, Grid
from tq_cert.lanes.timing import Timing, spread_of


def grids(report: EncodeReport) -> Iterator[Grid]:
    """The cost per value; with a model, the share of a decode step."""
    codecs = [row for row in report.rows if isinstance(row, CodecRow)]
    steps = [row for row in report.rows if isinstance(row, StepRow)]
    kernels = any(row.fused for row in codecs)
    if steps and report.model:
        yield step_grid(report, report.model.name, steps, kernels=kernels)
    yield codec_grid(report, codecs, kernels=kernels)


def spread_note(report: EncodeReport) -> str:
    return f"Medians of {report.settings.repeats} interleaved timings; ±: half the distance between the quartiles."


def step_grid(report: EncodeReport, model: str, steps: Sequence[StepRow], *, kernels: bool) -> Grid:
    """A row per preset on the model; with kernels, the reference beside them."""
    return Grid(
        title=f"Coding beside decoding: {model}, {report.settings.context} tokens of context",
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
            spread_note(report),
            "share: (block / block tokens) / step; a block codes keys and values of every coded layer.",
        ),
    )


def codec_grid(report: EncodeReport, codecs: Sequence[CodecRow], *, kernels: bool) -> Grid:
    """A row per side of a preset; with kernels, theirs beside the reference."""
    tokens = f"{report.settings.tokens} tokens" if report.settings.tokens else "one block"
    return Grid(
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
        notes=(
            spread_note(report),
            "Keys: less their mean where the preset centres them.",
            f"Measured {report.origin}.",
        ),
    )


def beside(timing: Timing | None, units: float, slow: Timing | None, fast: Timing | None) -> tuple[str, str, str]:
    """A timing in so many units a second, its spread, and by how much one is slower than another; or nothing."""
    if timing is None or slow is None or fast is None:
        return ("", "", "")
    return (f"{timing.median * units:.3g}", spread_of(timing), f"{slow.median / fast.median:.1f}")
