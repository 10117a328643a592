"""Tables for people."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from tq_mlx.admission import OPTED_IN
from tq_mlx.cli.measured_run import Comparison
from tq_mlx.cli.quantities import size
from tq_mlx.status import CacheStatus

WIDE = 120
"""Columns of a table that goes to no terminal."""


def table_console() -> Console:
    """Return the standard output as wide as the terminal, or wide enough for a table where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDE)


def comparison_table(outcome: Comparison) -> Table:
    """Return dense and compressed side by side."""
    dense, compressed = outcome.dense, outcome.compressed
    table = Table(title=f"{dense.prompt_tokens} prompt tokens, {len(dense.tokens)} generated")
    for column in ("", dense.label, compressed.label):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("text", shorten(dense.text), shorten(compressed.text))
    table.add_row("cache", size(dense.status.nbytes), size(compressed.status.nbytes))
    table.add_row("share of the tokens' dense bytes", f"{dense.status.ratio:.0%}", f"{compressed.status.ratio:.0%}")
    bits = compressed.status.bits_per_value
    table.add_row("stored bits per coded value", "", "nothing coded" if bits is None else f"{bits:.2f}")
    table.add_row("tokens per second", f"{dense.tokens_per_second:.1f}", f"{compressed.tokens_per_second:.1f}")
    table.add_row("mean KL on the dense text", "0", f"{outcome.mean_kl:.5f}")
    return table


def status_summary(held: CacheStatus, label: str) -> str:
    """Return how many layers are compressed, and why the others are not."""
    compressed = [layer for layer in held.layers if layer.realised != "dense"]
    reads = sum(layer.codes_read for layer in compressed)
    note = f" ({OPTED_IN})" if held.research else ""
    lines = [f"{len(compressed)} of {len(held.layers)} layers compressed with {label}{note}; codes read {reads} times"]
    if compressed and held.bits_per_value is None:
        lines.append("no token is coded yet: the first few and the newest stay dense, and there are no others")
    for reason, count in Counter(layer.reason for layer in held.layers if layer.realised == "dense").items():
        lines.append(f"{count} {'layer' if count == 1 else 'layers'} dense: {reason}")
    return "\n".join(lines)


def shorten(text: str, limit: int = 160) -> str:
    """Return one line of at most ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
