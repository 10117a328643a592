"""A vector-search report for people."""

from tq_cert.lanes.forms import LEGEND
from tq_cert.lanes.tables import TIMES, Grid
from tq_cert.lanes.timing import spread_of
from tq_cert.lanes.vector_search.record import Recall, SearchReport, SearchRow


def grids(report: SearchReport) -> tuple[Grid, ...]:
    """One table."""
    data, exact = report.rows[0].data, report.rows[0]
    return (
        Grid(
            title=f"{data.vectors} vectors of {data.dim}, {data.queries} queries: {data.name}",
            headings=(
                *("index", "bits", "bytes a vector", f"{TIMES} float32"),
                *("recall@1", "±", "1@10", "±", "recall@10", "±"),
                *("build s", "±", "query ms", "±", f"{TIMES} exact"),
            ),
            rows=tuple(cells(row, exact) for row in report.rows),
            notes=(
                "recall@1: nearest vector found first; 1@10: nearest among the first ten found; recall@10: share of "
                "the ten nearest among them; ± of a recall: half of the 95 % interval over queries.",
                f"Medians of {report.settings.repeats} interleaved timings, ±: half the distance between the "
                "quartiles; query: one query of a batch. Every vector is compared: no index here skips any.",
                *LEGEND,
                f"Vectors: SHA-256 {data.sha256[:16]}….",
                f"Measured {report.origin}.",
            ),
        ),
    )


def cells(row: SearchRow, exact: SearchRow) -> tuple[str, ...]:
    recalls = (row.recall_at_1, row.recall_1_at_10, row.recall_at_10)
    return (
        row.candidate.label if row.candidate else "exact, float32",
        f"{row.bits:.3f}",
        f"{row.index_bytes / row.data.vectors:.0f}",
        f"{row.index_bytes / exact.index_bytes:.3f}",
        *(text for each in recalls for text in (f"{each.mean:.3f}", reach(each))),
        f"{row.build.median:.2f}" if row.build else "",
        spread_of(row.build) if row.build else "",
        f"{row.query.median / row.data.queries * 1e3:.3f}",
        spread_of(row.query),
        f"{row.query.median / exact.query.median:.2f}",
    )


def reach(recall: Recall) -> str:
    """Half the interval."""
    return f"{recall.interval[1] - recall.mean:.3f}" if recall.interval else ""
