"""tq-mlx inspect: what is inside a cache file, and whether it holds together.

Reads the files of tq_mlx.save_cache and of mlx-lm's save_prompt_cache. Exit code 0: the file is good; 1: it is damaged
or forged; 2: it cannot be read, or is no cache file of a kind and version that this release knows.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tq_contract.exit_code import ExitCode
from tq_mlx.cli.tables import table_console
from tq_mlx.inspection import Inspection, inspect_file
from tq_mlx.layer_facts import GOOD, LayerFacts

DENSE, CODED = ("sink", "tail", "dense"), ("packed", "quantized")
"""Names of segments, by how they store tokens."""


def add_to(subcommands: Any) -> None:
    """Add the subcommand's parser."""
    parser = subcommands.add_parser("inspect", help="show and check what is in a cache file", description=__doc__)
    parser.add_argument("file", metavar="FILE", type=Path, help="a prompt cache's file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=inspect)


def inspect(options: argparse.Namespace) -> int:
    """Run the subcommand."""
    outcome = inspect_file(options.file)
    if options.json:
        print(json.dumps(outcome.to_dict(), indent=2))
    else:
        show(outcome)
    return ExitCode.FINDINGS if outcome.findings else ExitCode.GOOD


def show(outcome: Inspection) -> None:
    """Print the file's facts, its layers, and what is wrong."""
    console = Console(highlight=False)
    for name, text in facts(outcome).items():
        console.print(f"{name:<9} {shown(text)}", soft_wrap=True)
    if outcome.layers:
        table_console().print(layer_table(outcome.layers))
    for finding in outcome.findings:
        console.print(f"[red]damaged[/red]   {shown(finding)}", soft_wrap=True)
    if not outcome.findings:
        console.print("[green]good[/green]      every check passed")


def facts(outcome: Inspection) -> dict[str, str]:
    """Return what the header says, line by line."""
    lines = {"file": f"{outcome.path}, {outcome.nbytes:,} bytes", "kind": outcome.kind}
    if outcome.header_bytes:
        lines["header"] = f"{outcome.header_bytes:,} bytes, {outcome.tensors} tensors"
    if outcome.schema_version is not None:
        model = outcome.model
        lines["schema"] = f"version {outcome.schema_version}"
        lines["contract"] = "the one installed" if outcome.same_contract else "that of another release"
        lines["model"] = f"{model['model_type']}, fingerprint {model['sha256']}" if model else "not stated"
    if outcome.metadata:
        lines["metadata"] = ", ".join(f"{name}={text}" for name, text in outcome.metadata.items())
    return lines


def layer_table(layers: tuple[LayerFacts, ...]) -> Table:
    """Return one row per layer: tokens by how they are stored, bytes, and bits stored per value."""
    rows = [layer_cells(layer) for layer in layers]
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for place, column in enumerate(("layer", "class", "stored as", "dense", "coded", "bytes", "bits", "verdict")):
        names = column in ("class", "stored as")  # where a terminal is narrow, names are cut and no number is
        whole = None if names else max(len(column), *(len(cells[place]) for cells in rows))
        left = names or column == "verdict"
        table.add_column(
            column, justify="left" if left else "right", no_wrap=not names, overflow="ellipsis", min_width=whole
        )
    for cells in rows:
        table.add_row(*map(shown, cells))
    return table


def layer_cells(layer: LayerFacts) -> tuple[str, ...]:
    """Return a layer's row."""
    dense, coded = (token_count(layer, names) for names in (DENSE, CODED))
    bits = "" if layer.bits_per_value is None else f"{layer.bits_per_value:.2f}"
    verdict = GOOD if layer.verdict == GOOD else "bad"
    forms = " / ".join(dict.fromkeys([layer.keys, layer.values]))  # once where both are stored alike
    return str(layer.index), layer.class_name, forms, dense, coded, f"{layer.nbytes:,}", bits, verdict


def token_count(layer: LayerFacts, names: tuple[str, ...]) -> str:
    """Return the tokens of those segments, or nothing where the layer has no such segment."""
    counts = [count for name, count in layer.tokens.items() if name in names]
    return f"{sum(counts):,}" if counts else ""


def shown(text: str) -> str:
    """Return text from a file as rich takes it, without what a terminal would obey."""
    return escape("".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text))
