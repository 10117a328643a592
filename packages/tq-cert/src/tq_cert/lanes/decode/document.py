"""The decode page: every committed report with its own tables.

python -m tq_cert.lanes.decode.document docs/measurements/decode > docs/decode.md
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from tq_cert.lanes.decode.record import DecodeReport
from tq_cert.lanes.decode.table import grids
from tq_cert.lanes.tables import Grid, markdown

INTRODUCTION = """# Time of attention and of decode steps, measured

Generated from the reports in `measurements/decode` by `python -m tq_cert.lanes.decode.document`
([source](../packages/tq-cert/src/tq_cert/lanes/decode/document.py)); each report is what `tq-cert bench decode` wrote.
One new token attends to a synthetic history, sinks, codes, block means and dense tail included; what stands in one
table at one length was timed in turns in one run. No row is an Apple result.

Why the path without kernels looks as it does, and what lost against it, is in [decode_path.md](decode_path.md).
"""


def page(reports: Sequence[DecodeReport]) -> str:
    """The whole page."""
    tables = [grid for number, report in enumerate(reports, 1) for grid in run(number, report)]
    return f"{INTRODUCTION}\n{markdown(tables)}".rstrip("\n") + "\n"


def run(number: int, report: DecodeReport) -> Iterator[Grid]:
    """One report's tables under its number."""
    for table in grids(report):
        yield replace(table, title=f"Run {number}. {table.title}")


def read(folder: Path) -> Iterator[DecodeReport]:
    """The folder's reports by file name."""
    for path in sorted(folder.glob("*.json")):
        yield msgspec.json.decode(path.read_bytes(), type=DecodeReport)


if __name__ == "__main__":
    sys.stdout.write(page(list(read(Path(sys.argv[1])))))
