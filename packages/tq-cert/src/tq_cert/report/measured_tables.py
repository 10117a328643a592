"""The measured tables of written pages: between two markers, made of committed reports.

    python -m tq_cert.report.measured_tables docs

rewrites, in every page of the folder, what lies between `<!-- measured:LANE -->` and `<!-- /measured -->`: the tables
of the reports in `measurements/LANE`, by file name.
"""

import re
import sys
from pathlib import Path

from tq_cert.files import write_whole
from tq_cert.lanes.tables import markdown
from tq_cert.report.from_reports import LANES, read_reports

BLOCK = re.compile(r"(<!-- measured:(\w+) -->\n).*?(<!-- /measured -->)", re.DOTALL)


def filled(text: str, measurements: Path) -> str:
    """The page with every block made anew."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{tables(measurements, block[2])}\n{block[3]}", text)


def tables(measurements: Path, lane: str) -> str:
    """All tables of a lane's committed reports."""
    found, _ = read_reports(measurements / lane)
    grids = [grid for one in found if one.lane == lane for grid in LANES[lane].grids(one.report)]
    return markdown(grids).rstrip("\n") + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for page in sorted(folder.glob("*.md")):
        old = page.read_text(encoding="utf-8")
        new = filled(old, folder / "measurements")
        if new != old:
            write_whole(page, new.encode())
            print(f"wrote {page}")
