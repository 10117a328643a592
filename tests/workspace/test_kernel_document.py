"""docs/gpu_decode.md is what scripts/kernel_document.py makes of the committed measurement."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_of_the_measurement():
    result = subprocess.run([sys.executable, "scripts/kernel_document.py", "--check"], cwd=ROOT, check=False)
    assert result.returncode == 0, "docs/gpu_decode.md is out of date: run scripts/kernel_document.py"
