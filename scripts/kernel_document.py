"""Write docs/gpu_decode.md from what kernel_trial.py printed: python3 scripts/kernel_document.py [--check]."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "docs" / "measurements" / "kernels" / "h200.jsonl"
TARGET = ROOT / "docs" / "gpu_decode.md"

Line = dict[str, Any]

TEXT = """# Decode attention on an NVIDIA GPU

Made by `scripts/kernel_document.py` from [the measurement](measurements/kernels/h200.jsonl), which
`scripts/kernel_trial.py` took of [`kernels/fused.py`](../packages/tq-mlx/src/tq_mlx/kernels/fused.py) on an
{device}, MLX {mlx}, commit {commit}, {date}.
Nothing here is an Apple result; the Metal kernels have run in the tests' executor alone, never on a Mac.

{shapes}.

Microseconds per layer. *Whole*: the graph is built, then evaluated. *Evaluated*: built beforehand. *Pipelined*: the
next chain is built while the last runs, as mlx-lm's generation loop does. The ratio is dense over ours, pipelined.
Copying moved {copy} TB/s (read and written).

## Dense and 4 bits

{dense}

Where the history is short, host time bounds both: our two launches take about 50 µs of it a call here, dense
attention about 30. Up to 32K tokens at batch 1, dense is therefore the faster. Since that commit a call hands MLX fewer
arrays and no template arguments; what that saves is not measured yet.

## Other codecs, 128K tokens, batch 1

{codecs}

Lloyd-Max codes pass through a table in shared memory, 128 look-ups per lane and 16 tokens; widths that do not
divide 16 are cut out code by code.

## How the work is cut, uniform 4/4, 128K tokens, batch 1

{tunings}

Groups of 32 lanes per threadgroup, "x", threadgroups that share a multiprocessor; threadgroups in all; tiles loaded
ahead.

## Equality

Largest difference from attention over the decoded history in float32, over its largest output; beyond half a unit in
the last place of the result's dtype.

{checks}

{skipped}
"""


def document(lines: list[Line]) -> str:
    """Return the page."""
    by_kind = {kind: [line for line in lines if kind in line] for kind in ("check", "time")}
    provenance = next(line["provenance"] for line in lines if "provenance" in line)
    copy = next(line["copy_tb_s"] for line in lines if "copy_tb_s" in line)
    timed = by_kind["time"]
    dense = {(line["batch"], line["tokens"]): line for line in timed if line["time"].startswith("dense")}
    ours = [line for line in timed if line["time"] == "uniform 4/4"]
    usual = [line for line in ours if line["tuning"] == "4x4 528"]
    checked = [line for line in by_kind["check"] if "beyond_rounding" in line]
    skipped = any("skipped" in line for line in by_kind["check"])
    rest = [line for line in timed if line["time"] != "uniform 4/4" and line["batch"] == 1 and line["tokens"] == 131072]
    return (
        TEXT.format(
            **{**provenance, "shapes": provenance["shapes"][0].upper() + provenance["shapes"][1:]},
            copy=copy,
            dense=table(
                (
                    "batch",
                    "tokens",
                    "dense whole",
                    "pipelined",
                    "ours whole",
                    "evaluated",
                    "pipelined",
                    "ratio",
                    "packed TB/s",
                ),
                [against_dense(line, dense[line["batch"], line["tokens"]]) for line in sorted(usual, key=size)],
            ),
            codecs=table(
                ("codec", "tuning", "whole", "evaluated", "pipelined"),
                [(line["time"], line.get("tuning", ""), *times(line)) for line in rest],
            ),
            tunings=table(
                ("tuning", "whole", "evaluated", "pipelined", "packed TB/s"),
                [(line["tuning"], *times(line), line["packed_tb_s"]) for line in ours if size(line) == (1, 131072)][:6],
            ),
            checks=table(
                ("case", "difference", "beyond rounding"),
                [
                    (line["check"], f"{line['relative_error']:.1e}", f"{line['beyond_rounding']:.1e}")
                    for line in checked
                ],
            ),
            skipped="The run's time ended before the other cases; the tests' executor covers them." if skipped else "",
        ).rstrip()
        + "\n"
    )


def size(line: Line) -> tuple[int, int]:
    return line["batch"], line["tokens"]


def times(line: Line) -> tuple[float, float, float]:
    return line["whole_us"], line["eval_us"], line["piped_us"]


def against_dense(line: Line, dense: Line) -> tuple[object, ...]:
    ratio = dense["piped_us"] / line["piped_us"]
    return *size(line), dense["whole_us"], dense["piped_us"], *times(line), f"{ratio:.2f}", line["packed_tb_s"]


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    rule = "|---" + "|---:" * (len(head) - 1) + "|"
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def main() -> int:
    page = document([json.loads(line) for line in SOURCE.read_text().splitlines()])
    if "--check" in sys.argv:
        return 0 if TARGET.read_text() == page else 1
    TARGET.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
