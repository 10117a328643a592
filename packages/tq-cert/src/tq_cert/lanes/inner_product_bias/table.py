"""An inner-product report for people."""

from tq_cert.lanes.forms import LEGEND
from tq_cert.lanes.inner_product_bias.record import BiasReport, BiasRow, Estimate
from tq_cert.lanes.tables import Grid


def grids(report: BiasReport) -> tuple[Grid, ...]:
    """One table per dimension."""
    settings = report.settings
    notes = (
        f"Unit vectors and queries; {settings.seeds} seeds of {settings.vectors} vectors and {settings.queries} "
        "queries each; ±: half of Student's 95 % interval over seeds.",
        "slope - 1: multiplicative bias; error · D: D · E(estimate - truth)² for independent queries, the variance "
        "where there is no bias; theory: for large D, of the forms that it covers.",
        *LEGEND,
        f"Measured {report.origin}.",
    )
    return tuple(
        Grid(
            title=f"Estimated inner products, D = {head_dim}",
            headings=(
                *("codec", "bits", "slope - 1", "±", "theory"),
                *(f"bias at cosine {cosine:g}" for cosine in settings.cosines if cosine),
                *("error · D", "±", "theory"),
            ),
            rows=tuple(cells(row) for row in report.rows if row.head_dim == head_dim),
            notes=notes if head_dim == settings.head_dims[-1] else (),
        )
        for head_dim in settings.head_dims
    )


def cells(row: BiasRow) -> tuple[str, ...]:
    return (
        row.candidate.label,
        f"{row.stored_bits:.3f}",
        f"{row.slope_error.mean:+.4f}",
        reach(row.slope_error),
        f"{row.theory.slope_error:+.4f}" if row.theory else "",
        *(f"{bias.error.mean:+.4f}" for bias in row.biases if bias.cosine),
        f"{row.error_times_dim.mean:.4f}",
        reach(row.error_times_dim),
        f"{row.theory.error_times_dim:.4f}" if row.theory else "",
    )


def reach(estimate: Estimate) -> str:
    """Half the interval."""
    return f"{estimate.interval[1] - estimate.mean:.4f}" if estimate.interval else ""
