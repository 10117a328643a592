"""The quality page: committed reports of one model each, all methods of a model in one table, by stored bits.

    python -m tq_cert.lanes.quality.document docs/measurements/quality > docs/quality.md

Reports of one model may come from several devices; they must agree in model, text and scope, and the page says which
rows were measured where.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tq_cert.errors import OptionError
from tq_cert.lanes.quality.methods import BASELINE
from tq_cert.lanes.quality.record import QualityReport, QualityRow
from tq_cert.lanes.quality.table import heading, number
from tq_cert.lanes.tables import TIMES, Grid, markdown
from tq_contract import load

INTRODUCTION = """# Quality of every preset, measured

Generated from the reports in `measurements/quality` by `python -m tq_cert.lanes.quality.document`
([source](../packages/tq-cert/src/tq_cert/lanes/quality/document.py)); each report is what `tq-cert bench quality`
wrote. Teacher-forced on WikiText-2's test text through the real caches and the real attention, every token coded but
the sinks; KL(dense ‖ method) in nats over the full vocabulary; stored bits per value include everything, sinks too, as
a 16-bit model would store it. No row is an Apple result.

"beaten by" names a preset of fewer stored bits and less KL; on an allowlisted family that may befall only presets that
are labelled paper-facing or compatibility-only.
"""


@dataclass(frozen=True)
class Source:
    """A row and the report that it comes from."""

    row: QualityRow
    report: int


def page(reports: Sequence[QualityReport]) -> str:
    """The whole page."""
    names = dict.fromkeys(report.model.name for report in reports if report.model)
    grids = [grid([r for r in reports if r.model and r.model.name == name]) for name in names]
    return f"{INTRODUCTION}\n{markdown(grids)}".rstrip("\n") + "\n"


def grid(reports: Sequence[QualityReport]) -> Grid:
    """One model's table."""
    check_alike(reports)
    rows = [Source(row, index) for index, report in enumerate(reports, 1) for row in report.rows]
    rows.sort(key=lambda source: source.row.stored_bits.model16)
    baseline = next(source.row.kl.mean for source in rows if source.row.method == BASELINE)
    kinds = {f"preset:{preset.name}": preset.classification for preset in load().presets}
    return Grid(
        title=heading(reports[0]),
        headings=(
            "method", "kind", "bits", "mean KL", "± 95 %", f"{TIMES} {BASELINE}",
            "p99", "p99.9", "flips", "perplexity change", "beaten by", "run",
        ),
        rows=tuple(
            cells(source, baseline, kinds.get(source.row.method, "mlx-lm"), beaten_by(source.row, rows))
            for source in rows
        ),
        notes=tuple(f"Run {index}: {report.origin}" for index, report in enumerate(reports, 1)),
    )  # fmt: skip


def cells(source: Source, baseline: float, kind: str, better: str) -> tuple[str, ...]:
    row = source.row
    return (
        row.method.removeprefix("preset:"),
        kind,
        f"{row.stored_bits.model16:.2f}",
        number(row.kl.mean),
        "" if row.kl.interval is None else number(row.kl.interval[1] - row.kl.mean),
        f"{row.kl.mean / baseline:.3f}",
        number(row.kl.p99),
        number(row.kl.p999),
        f"{row.flip_rate:.2%}",
        f"{row.perplexity_change:+.2%}",
        better,
        str(source.report),
    )


def beaten_by(row: QualityRow, rows: Sequence[Source]) -> str:
    """The preset of fewest bits that has both fewer stored bits and less KL."""
    for other in (source.row for source in rows):
        fewer = other.stored_bits.model16 < row.stored_bits.model16
        if other.method.startswith("preset:") and fewer and other.kl.mean < row.kl.mean:
            return other.method.removeprefix("preset:")
    return ""


def check_alike(reports: Sequence[QualityReport]) -> None:
    """Raise OptionError if reports of one model differ in weights, text or scope."""
    first = reports[0]
    for report in reports[1:]:
        if (report.model, report.text, report.settings.scope) != (first.model, first.text, first.settings.scope):
            problem = f"reports of {first.model_name} differ in weights, text or scope"
            raise OptionError("folder", problem, "measure all methods of a model on one text, in one scope")


def read(folder: Path) -> Iterator[QualityReport]:
    """The folder's reports by file name."""
    for path in sorted(folder.glob("*.json")):
        yield msgspec.json.decode(path.read_bytes(), type=QualityReport)


if __name__ == "__main__":
    sys.stdout.write(page(list(read(Path(sys.argv[1])))))
