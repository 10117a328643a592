"""Charts of a bundle's raw samples: each from the one stage that measures what it shows."""

from collections.abc import Iterator, Mapping, Sequence

from tq_cert.evidence.stage_record import Series
from tq_cert.lanes.quality.statistics import mean, quantile
from tq_cert.report.page import Chart, Curve, Point, Section
from tq_cert.report.quality_chart import MLX, OURS

BASELINE_BITS = 4 + 2 * 16 / 64
"""Stored bits per value of mlx-lm's own 4-bit cache: a scale and a bias of 16 bits for every 64 values."""

DENSE, BASELINE = "dense", "mlx-lm's own, 4 bits"
FIGURES = (
    ("Cache bytes", "cache_bytes", "used cache, MB", 1e-6, "What the tokens in the cache take, without room to grow."),
    (
        "Peak memory",
        "peak_bytes",
        "peak, MB",
        1e-6,
        "Most memory that MLX held while it compressed the prompt's cache and decoded, beyond what it held before.",
    ),
    (
        "Time per token",
        "decode_seconds",
        "decode step, ms",
        1e3,
        "Median of whole decode steps, taken in turns; bars from the first to the third quartile.",
    ),
)
"""Title, series, axis, scale and explanation of what is drawn against context."""

Samples = Mapping[str, Sequence[Series]]
"""Series by stage."""


def chart_sections(families: Sequence[str], samples: Samples) -> Iterator[Section]:
    """What the samples show, of every family that has them."""
    for title, stage, text, charts in (
        (
            "Quality against size",
            "preset_quality",
            "The same text with the uncompressed cache and with every other. KL says how far the predictions move away "
            "from those of the uncompressed model, 0 being not at all.",
            kl_charts,
        ),
        (
            "Size and speed against context",
            "dense_vs_tq",
            "The same prompts with a dense cache, with mlx-lm's own 4-bit cache, and with ours.",
            context_charts,
        ),
        (
            "Error by layer",
            "polarquant",
            "How far decoded keys and values are from those that went in.",
            layer_charts,
        ),
    ):
        drawn = tuple(chart for family in families for chart in charts(family, samples.get(stage, ())))
        if drawn:
            yield Section(title, text, drawn)


def kl_charts(family: str, series: Sequence[Series]) -> Iterator[Chart]:
    """Every preset, and mlx-lm's own cache beside them."""
    kls, bits = by_preset(series, "kl", family), by_preset(series, "stored_bits", family)
    theirs = by_preset(series, "baseline_kl", family).get(None, [])
    ours = tuple(
        Point(mean(bits[preset]), mean(values), name=preset or "")
        for preset, values in kls.items()
        if preset in bits and mean(values) > 0
    )
    curves = [Curve(OURS, ours, line=False)] if ours else []
    if theirs and mean(theirs) > 0:
        curves.append(Curve(MLX, (Point(BASELINE_BITS, mean(theirs), name=BASELINE),), line=False))
    if curves:
        yield Chart(
            title=f"KL against stored bits: {family}",
            sentence="Lower is closer to the uncompressed model, further left is smaller. Mean over all positions.",
            x="stored bits per value, everything included",
            y="mean KL, nats",
            curves=tuple(curves),
            log_y=True,
        )


def context_charts(family: str, series: Sequence[Series]) -> Iterator[Chart]:
    """Each figure, with a curve for every kind of cache."""
    for title, name, y, scale, sentence in FIGURES:
        curves: dict[str, dict[int, list[float]]] = {}
        for one in series:
            labels = {name: one.preset or "", f"dense_{name}": DENSE, f"baseline_{name}": BASELINE}
            if one.name in labels and one.family == family and one.context is not None:
                curves.setdefault(labels[one.name], {}).setdefault(one.context, []).extend(one.values)
        if curves:
            yield Chart(
                title=f"{title} against context: {family}",
                sentence=sentence,
                x="tokens",
                y=y,
                curves=tuple(Curve(label, quartiles(points, scale)) for label, points in curves.items()),
                log_x=True,
            )


def quartiles(points: Mapping[int, Sequence[float]], scale: float) -> tuple[Point, ...]:
    """The median of the samples at every context, between their quartiles."""

    def point(context: int, values: Sequence[float]) -> Point:
        low, middle, high = (scale * quantile(list(values), share) for share in (0.25, 0.5, 0.75))
        return Point(context, middle, low, high)

    return tuple(point(context, values) for context, values in sorted(points.items()))


def layer_charts(family: str, series: Sequence[Series]) -> Iterator[Chart]:
    """Keys and values."""
    for side in ("key", "value"):
        curves = tuple(
            Curve(preset or "", tuple(Point(index, value) for index, value in enumerate(values)))
            for preset, values in by_preset(series, f"{side}_error", family).items()
        )
        if curves:
            yield Chart(
                title=f"Error of the {side}s by layer: {family}",
                sentence="Squared error over squared norm, of the compressed layers in their order.",
                x="compressed layer",
                y="relative squared error",
                curves=curves,
            )


def by_preset(series: Sequence[Series], name: str, family: str) -> dict[str | None, list[float]]:
    """All samples of a quantity by preset."""
    found: dict[str | None, list[float]] = {}
    for one in series:
        if one.name == name and one.family == family:
            found.setdefault(one.preset, []).extend(one.values)
    return found
