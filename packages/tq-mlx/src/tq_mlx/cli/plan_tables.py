"""tq-mlx plan for people: which layers, what they cost, and how the numbers are meant."""

from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.table import Table

from tq_mlx.cli.plan_report import PlanReport, PresetPlan
from tq_mlx.cli.quantities import size
from tq_mlx.model_shape import Fixed, LayerShape, Part, Window
from tq_mlx.plan import LONGEST, CompressedPlan, DensePlan


def layer_lines(report: PlanReport) -> list[str]:
    """Return the model in a line, and what becomes of its layers."""
    shape = report.shape
    made_for = f", made for {shape.max_context:,} tokens" if shape.max_context else ""
    lines = [f"{shape.model_type} ({len(shape.layers)} caches, {shape.dtype}){made_for}"]
    for names, entry in alike(report.presets):
        if entry.plan is None:
            lines.append(f"refused ({names}): {entry.refusal}")
            continue
        lines.append(f"{len(entry.plan.compressed)} of {len(shape.layers)} layers compressed ({names})")
        outcomes = [
            (describe(layer), "compressed" if verdict.compress else verdict.reason)
            for layer, verdict in zip(shape.layers, entry.plan.verdicts, strict=True)
        ]
        for what, outcome in dict.fromkeys(outcomes):
            indices = [index for index, other in enumerate(outcomes) if other == (what, outcome)]
            lines.append(f"  layers {ranges(indices)}: {what}: {outcome}")
    return lines


def alike(presets: Sequence[PresetPlan]) -> list[tuple[str, PresetPlan]]:
    """Return one entry of each outcome, with the names of the presets that have it."""
    groups: dict[object, list[PresetPlan]] = {}
    for entry in presets:
        outcome = entry.refusal if entry.plan is None else tuple(v.compress or v.reason for v in entry.plan.verdicts)
        groups.setdefault(outcome, []).append(entry)
    if len(groups) == 1:
        return [("every preset" if len(presets) > 1 else presets[0].preset, presets[0])]
    return [(", ".join(entry.preset for entry in group), group[0]) for group in groups.values()]


def describe(layer: LayerShape) -> str:
    """Return a layer's cache in a few words."""
    return (
        f"{layer.cache}, " + " and ".join(map(describe_part, layer.parts)) if layer.parts else f"{layer.cache}, empty"
    )


def describe_part(part: Part) -> str:
    if isinstance(part, Fixed):
        return f"state of {size(part.nbytes)}"
    dims = f"{part.key_dim}" if part.key_dim == part.value_dim else f"{part.key_dim} and {part.value_dim}"
    window = f", window {part.window:,}" if isinstance(part, Window) else ""
    return f"{part.heads} {'head' if part.heads == 1 else 'heads'} of {dims}{window}"


def ranges(indices: Sequence[int]) -> str:
    """Return indices with runs shortened: 0-4, 6, 8-9."""
    runs = [[index for _, index in run] for _, run in groupby(enumerate(indices), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def plan_table(report: PlanReport) -> Table:
    """Return bytes per preset and context, dense first."""
    table = Table(title="cache bytes allocated, by tokens held", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("preset", no_wrap=True)
    heads = ["bits", *(f"{context:,}" for context in report.contexts), "of dense"]
    if report.memory is not None:
        heads.append(f"fit {size(report.memory)}")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_row("dense", "", *costs(report, report.dense))
    for entry in report.presets:
        if entry.plan is None:
            table.add_row(entry.preset, "", "refused")
        else:
            bits = "" if entry.plan.bits_per_value is None else f"{entry.plan.bits_per_value:.2f}"
            table.add_row(entry.preset + ("*" if entry.plan.is_bound else ""), bits, *costs(report, entry.plan))
    return table


def costs(report: PlanReport, plan: DensePlan | CompressedPlan) -> list[str]:
    found = [size(plan.bytes_at(tokens)) for tokens in report.contexts]
    found.append(f"{report.ratio(plan, report.contexts[-1]):.2f}")
    if report.memory is None:
        return found
    longest = plan.longest(report.memory)
    return [*found, f"{longest:,}" if longest < LONGEST else f"{LONGEST:,} or more"]


def remarks(report: PlanReport) -> list[str]:
    """Return what the table's numbers mean."""
    lines = [
        f"bits: stored per coded value. of dense: share of the dense cache's bytes at {report.contexts[-1]:,} tokens.",
        "Weights and the memory of computing come on top.",
    ]
    if any(entry.plan and entry.plan.is_bound for entry in report.presets):
        lines.append("* at most: which layers get how many key bits is decided by the keys of the first prompt.")
    most = report.shape.max_context
    if most is not None and report.memory is not None:
        lines.append(f"fit: the longest context; one beyond {most:,} tokens fits, but the model was not made for it.")
    return lines
