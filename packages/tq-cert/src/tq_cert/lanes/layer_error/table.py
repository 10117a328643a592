"""A layer-error report for people."""

from tq_cert.lanes.layer_error.record import LayerErrorReport, LayerErrorRow
from tq_cert.lanes.quality.statistics import mean
from tq_cert.lanes.tables import Grid


def grids(report: LayerErrorReport) -> tuple[Grid, ...]:
    """One table: means, and the worst layer of either side."""
    return (
        Grid(
            title=f"Errors of decoded keys and values: {report.model_name}, {report.settings.context} tokens",
            headings=("method", "layers", "keys, mean", "worst", "in layer", "values, mean", "worst", "in layer"),
            rows=tuple(cells(row) for row in report.rows),
            notes=(
                "Squared error over squared norm, mean over coded tokens and heads; keys as attention sees them, their "
                "mean added back.",
                f"Measured {report.origin}.",
            ),
        ),
    )


def cells(row: LayerErrorRow) -> tuple[str, ...]:
    sides: list[str] = []
    for side in ("keys", "values"):
        errors = {layer.layer: getattr(layer, side) for layer in row.layers}
        worst = max(errors, key=lambda layer: errors[layer])
        sides += [f"{mean(list(errors.values())):.5f}", f"{errors[worst]:.5f}", str(worst)]
    return (row.method, str(len(row.layers)), *sides)
