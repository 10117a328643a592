"""The page about the boundary to mlx-lm is what its sources say."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "upstream_boundary.py"

spec = importlib.util.spec_from_file_location("upstream_boundary", SCRIPT)
boundary = importlib.util.module_from_spec(spec)
sys.modules["upstream_boundary"] = boundary
spec.loader.exec_module(boundary)


def test_the_page_is_up_to_date():
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_changed_table_is_found(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text(boundary.PAGE.read_text().replace("`gemma2`", "`gemma3`"))
    monkeypatch.setattr(boundary, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["upstream_boundary.py", "--check"])
    assert boundary.main() == 1
    assert "+| `gemma2`" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["upstream_boundary.py"])
    assert boundary.main() == 0
    assert page.read_text() == boundary.PAGE.read_text() == (ROOT / "docs/vendored-upstream-boundary.md").read_text()


def test_each_way_of_attending_is_told_apart():
    source = """
class Hooked:
    def __call__(self): cache.update_and_fetch(k, v); return scaled_dot_product_attention(q, k, v)
class Fast:
    def __call__(self): cache.update_and_fetch(k, v); return mx.fast.scaled_dot_product_attention(q, k, v)
class ByHand:
    def __call__(self): k, v = cache.update_and_fetch(k, v); return softmax(q @ k) @ v
class State:
    def __call__(self): return cache[0]
"""
    found = [how for node in ast.parse(source).body for how in boundary.own_attention(node)]
    assert found == [
        "`Fast` calls `mx.fast.scaled_dot_product_attention`",
        "`ByHand` fetches keys and uses them itself",
    ]
