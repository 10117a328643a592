"""The README's Python, run as written on a small real model."""

import re
from pathlib import Path

import mlx_lm
import pytest
from mlx_lm.models.cache import KVCache

import tq_mlx

README = Path(__file__).parents[2] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
HUB_MODEL = "mlx-community/Llama-3.2-1B-Instruct-4bit"
PREFILL = "# ... run your prefill here ..."


@pytest.mark.model
def test_the_quick_start_runs_as_written(real_model, monkeypatch):
    upgrade, generate = SNIPPETS
    assert upgrade.count(HUB_MODEL) == upgrade.count(PREFILL) == 1
    loads, caches = [], []
    real_load = mlx_lm.load
    monkeypatch.setattr(mlx_lm, "load", lambda name: loads.append(name) or real_load(real_model("llama")))
    scope = {"caches": caches}
    prefill = """
import mlx.core as mx
model(mx.array([tokenizer.encode("one two three four five " * 60)]), cache=cache)
caches.extend(cache)
"""
    exec(upgrade.replace(PREFILL, prefill), scope)
    assert loads == [HUB_MODEL]
    assert all(type(layer) is KVCache for layer in caches)
    assert all(type(layer) is tq_mlx.TurboQuantKVCache for layer in scope["cache"])
    assert len(scope["events"]) == len(scope["cache"])
    assert all(event.compressed and event.ratio < 1 for event in scope["events"])

    exec(generate.replace('prompt="', 'max_tokens=8, prompt="'), scope)
    assert scope["text"].strip()
